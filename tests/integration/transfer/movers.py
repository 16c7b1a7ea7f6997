"""What the crash tests and tools/bench share: a web server that keeps a log, trees, and how each format is moved."""
import contextlib
import hashlib
import os
import pathlib
import random
import shutil
import socket
import stat
import subprocess
import tempfile
import time

NGINX = """
daemon off; pid {top}/nginx.pid; error_log {top}/error.log crit; worker_processes 2;
load_module /usr/lib/nginx/modules/ngx_http_dav_ext_module.so;
events {{ }}
http {{
  log_format sizes '$request_method $status $body_bytes_sent $request_length $msec $request_time $uri';
  access_log {log}; client_body_temp_path {top}/tmp; proxy_temp_path {top}/tmp; fastcgi_temp_path {top}/tmp;
  uwsgi_temp_path {top}/tmp; scgi_temp_path {top}/tmp; sendfile on;
  server {{ listen 127.0.0.1:{port} sndbuf=256k; root {top}/www; client_max_body_size 0; {more}
    location / {{ dav_methods PUT DELETE; create_full_put_path on; }} }}
}}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """nginx with WebDAV on loopback; its log, when it has one, can be read once it stopped."""

    def __init__(self, top, log=False, more=""):
        self.top = pathlib.Path(top)
        self.log = self.top / "access.log"
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        for path in (self.top, self.top / "www", self.top / "tmp"):
            path.mkdir(exist_ok=True)
            os.chmod(path, 0o777)
        config = self.top / "nginx.conf"
        config.write_text(NGINX.format(top=top, port=port, more=more, log=f"{self.log} sizes" if log else "off"))
        self.process = subprocess.Popen(["nginx", "-c", config, "-e", self.top / "error.log"], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError("nginx did not start: " + (self.top / "error.log").read_text())
            time.sleep(0.01)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.stop()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()

    def seen(self):
        """Each request that has ended, as a dictionary."""
        found = []
        for line in self.log.read_text().splitlines():
            method, status, sent, got, end, took, path = line.split(" ", 6)
            found.append({"method": method, "status": int(status), "path": path, "begun": float(end) - float(took),
                          "answered": int(sent), "asked": int(got)})  # bytes: of the answer's body, of the whole request
        return found

    def requests(self):
        """All of them; stops the server, so that those under way are among them."""
        self.stop()
        return self.seen()


def digests(top):
    """What a tree is: kind, mode, size, time and content of everything below it, by path."""
    found = {}
    top = os.fsencode(str(top))
    for where, folders, files in os.walk(top):
        for name in folders + files:
            path = os.path.join(where, name)
            seen = os.lstat(path)
            kind = stat.S_IFMT(seen.st_mode)
            what = None
            if stat.S_ISREG(kind):
                with open(path, "rb") as f:
                    what = hashlib.file_digest(f, "sha1").digest()
            elif stat.S_ISLNK(kind):
                what = os.readlink(path)
            found[os.path.relpath(path, top)] = (kind, seen.st_size if stat.S_ISREG(kind) else 0, what)
    return found


def make_small_tree(top, seed=1, files=40, largest=1 << 16):
    """Some files in some folders, an empty one, one that does not compress."""
    dice = random.Random(seed)
    top = pathlib.Path(top)
    for number in range(files):
        path = top / f"d{number % 5}" / f"f{number:03}"
        path.parent.mkdir(parents=True, exist_ok=True)
        size = 0 if number == 7 else dice.randrange(1, largest)
        path.write_bytes(dice.randbytes(size) if number % 3 == 0 else (b"%d block\n" % number * size)[:size])


class Form:
    """One of the two formats, moved by the test program `mover`; settings are those it knows."""

    def __init__(self, build, name):
        self.name = name
        self.mover = pathlib.Path(build) / "tests/integration/transfer/mover"
        self.number = {"archive": 1, "snapshot": 2}[name]

    def available(self):
        done = subprocess.run([self.mover, "formats"], capture_output=True, text=True, check=False)
        return self.name in done.stdout.split()

    def command(self, verb, store, key, directory, **settings):
        settings = {"format": self.number, **settings}
        return [self.mover, verb, store, key, directory, *(f"{name}={value}" for name, value in settings.items())]


def forms(build):
    return [form for form in (Form(build, "snapshot"), Form(build, "archive")) if form.available()]


@contextlib.contextmanager
def scratch(prefix="bv-move-"):
    top = tempfile.mkdtemp(prefix=prefix, dir="/var/tmp")
    os.chmod(top, 0o755)  # the server's workers are nobody
    try:
        yield pathlib.Path(top)
    finally:
        shutil.rmtree(top, ignore_errors=True)
