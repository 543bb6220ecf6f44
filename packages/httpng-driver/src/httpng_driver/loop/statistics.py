"""What an event loop tells of itself."""


class HubStatistics:
    """What is going on in one event loop; a snapshot.

    Attributes:
        connections: how many connections are open.
        tasks: how many async handlers run.
        deadlines: how many deadlines are pending, one for each connection at most.
        turns: how often the loop has called the hub so far. In a turn each socket that is ready gets one
            read, and each connection a bounded number of offers.
    """

    __slots__ = ("connections", "deadlines", "tasks", "turns")

    def __init__(self, connections: int, tasks: int, deadlines: int, turns: int) -> None:
        self.connections = connections
        self.tasks = tasks
        self.deadlines = deadlines
        self.turns = turns
