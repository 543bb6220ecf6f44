// The answers of bench_apps.py from Go's net/http: hello PORT
package main

import (
	"net/http"
	"os"
	"strconv"
	"strings"
)

var piece = []byte(strings.Repeat("x", 65536))

func hello(response http.ResponseWriter, request *http.Request) {
	response.Header().Set("Content-Type", "text/plain; charset=utf-8")
	response.Write([]byte("hello"))
}

// /chunked/COUNT or /sized/COUNT: as many pieces.
func bulk(response http.ResponseWriter, request *http.Request) {
	parts := strings.Split(request.URL.Path, "/")
	count, err := strconv.Atoi(parts[2])
	if err != nil {
		panic(err)
	}
	response.Header().Set("Content-Type", "application/octet-stream")
	if parts[1] == "sized" {
		response.Header().Set("Content-Length", strconv.Itoa(count*len(piece)))
	}
	for ; count > 0; count-- {
		response.Write(piece)
	}
}

func main() {
	http.HandleFunc("/", hello)
	http.HandleFunc("/chunked/", bulk)
	http.HandleFunc("/sized/", bulk)
	panic(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
