// The ticks of fanout_apps.py from Go's net/http, a channel for each client: fanout PORT
package main

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const tickSize = 200

var (
	mutex    sync.Mutex
	channels = map[chan []byte]bool{}
)

func publish(period time.Duration) {
	due := time.Now()
	for number := 1; ; number++ {
		text := fmt.Sprintf("data: %d ", number)
		tick := []byte(text + strings.Repeat(".", tickSize-2-len(text)) + "\n\n")
		mutex.Lock()
		for channel := range channels {
			select {
			case channel <- tick:
			default:
			}
		}
		mutex.Unlock()
		due = due.Add(period)
		if now := time.Now(); due.Before(now) {
			due = now
		}
		time.Sleep(time.Until(due))
	}
}

func follow(response http.ResponseWriter, request *http.Request) {
	response.Header().Set("Content-Type", "text/event-stream")
	channel := make(chan []byte, 100)
	mutex.Lock()
	channels[channel] = true
	mutex.Unlock()
	defer func() {
		mutex.Lock()
		delete(channels, channel)
		mutex.Unlock()
	}()
	flusher := response.(http.Flusher)
	for {
		select {
		case tick := <-channel:
			response.Write(tick)
			flusher.Flush()
		case <-request.Context().Done():
			return
		}
	}
}

func main() {
	followers, err := strconv.Atoi(os.Getenv("FANOUT_FOLLOWERS"))
	if err != nil {
		panic(err)
	}
	go publish(time.Duration(followers) * time.Second / 20000)
	http.HandleFunc("/", follow)
	panic(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
