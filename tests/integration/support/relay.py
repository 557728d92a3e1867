"""A stretch of network between a larder and its Redis, which a test may cut, clog or slow down: for
one larder alone, in one direction, or for one kind of its connections."""
import contextlib
import socket
import threading
import time


class Pipe:
    def __init__(self, relay, client):
        self.relay, self.name = relay, b""
        self.client, self.server = client, socket.create_connection(("127.0.0.1", relay.target))
        for s in (self.client, self.server):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for source, sink, way in ((self.client, self.server, "to"), (self.server, self.client,
                                                                     "from")):
            threading.Thread(target=self._run, args=(source, sink, way), daemon=True).start()

    def _run(self, source, sink, way):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if way == "to" and b"SETNAME" in data.upper():
                    self.name = data
                with self.relay.changed:
                    self.relay.changed.wait_for(lambda: not self.relay.holds(self, way))
                time.sleep(self.relay.delay_s)
                sink.sendall(data)
        self.close()

    def close(self):
        for s in (self.client, self.server):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()


class Relay:
    def __init__(self, target):
        self.target, self.delay_s, self.held = target, 0, None
        self.is_cut, self.pipes = False, []
        self.changed = threading.Condition()
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                if self.is_cut:
                    client.close()
                    continue
                with contextlib.suppress(OSError):
                    self.pipes.append(Pipe(self, client))

    def holds(self, pipe, way):
        return self.held and way in self.held[0] and self.held[1] in pipe.name

    def hold(self, *ways, name=b""):
        """Nothing goes "to" Redis, or "from" it; of connections whose name has <name> in it."""
        with self.changed:
            self.held = (ways, name)

    def let_go(self):
        with self.changed:
            self.held = None
            self.changed.notify_all()

    def cut(self):
        self.is_cut = True
        for pipe in self.pipes:
            pipe.close()
        self.pipes.clear()

    def mend(self):
        self.is_cut = False

    def stop(self):
        self.listener.close()
        self.let_go()
        self.cut()
