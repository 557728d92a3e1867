"""The document's background tasks: a queue, one thread, and what becomes of each."""
import concurrent.futures
import secrets
import time

from watched import did

_tasks = {}
_pool = concurrent.futures.ThreadPoolExecutor(1)
_times_ms = []


def start(owner, work, *arguments):
    task = {"task_id": secrets.token_hex(8), "status": "queued"}
    _tasks[task["task_id"]] = (owner, task)

    def run():
        task["status"] = "running"
        did("report")
        begun = time.monotonic()
        try:
            task["result"] = work(*arguments)
            task["status"] = "done"
        except Exception as e:
            task["reason"], task["status"] = str(e), "failed"
        _times_ms.append((time.monotonic() - begun) * 1000)
    _pool.submit(run)
    return task


def status(owner, task_id):
    of, task = _tasks.get(task_id, (None, None))
    return task if of == owner else None


def statistics():
    states = [task["status"] for _, task in list(_tasks.values())]
    return {"queue_size": states.count("queued"), "running": states.count("running"), "done": states.count("done"),
            "avg_ms": round(sum(_times_ms) / len(_times_ms), 1) if _times_ms else 0}
