"""The protocol of the README two directories up, for one client."""
import json
import queue
import sys
import threading

stopped = threading.Event()
_lock = threading.Lock()


class Unsupported(Exception):
    """The client has no such thing."""


def emit(event, **fields):
    with _lock:
        sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
        sys.stdout.flush()


def key(i):
    return b"k%d" % (i % 7)


def value(i):
    return (b"value %d " % i) * (1 + i % 50)


def record(m_partition, offset, time, k, v, headers):
    header = headers[-1][1].decode() if headers else ""
    emit("record", partition=m_partition, offset=offset, time=time, key=(k or b"").decode(), value=(v or b"").decode(), header=header)


def main(verbs):
    lines = queue.Queue()

    def read():
        for line in sys.stdin:
            lines.put(json.loads(line))
        stopped.set()
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    while (r := lines.get()) is not None:
        try:
            verb = verbs.get(r["verb"])
            if verb is None:
                raise Unsupported(r["verb"])
            verb(r)
            emit("end")
        except Unsupported as e:
            emit("end", unsupported=str(e))
        except Exception as e:  # whatever it is, the test is told
            emit("end", error=f"{type(e).__name__}: {e}" or "error")
