#!/usr/bin/env python3
"""A web server over a directory that misbehaves on demand: fault_server.py <root>

Prints its port. GET (with Range), HEAD, PUT (makes directories; If-None-Match: *), DELETE. Before each answer it reads
<root>/.faults: lines "<method> <part of path> <times> <action> [<number> [<word>]]", taken from the top; a rule that was used
<times> times is passed over. Actions:
  status N     answer N;  retry N: 429 with Retry-After: N
  cut N        a full head, then N bytes and a closed connection
  short N      a whole answer of N bytes only
  long N       N bytes too many
  norange 0    ignore the Range header
  s3error N C  answer N with an S3 error document of code C
Every request goes to <root>/.log as "<method> <path> <range or -> <status>".
"""
import os
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROOT = os.path.abspath(sys.argv[1])
LOCK = threading.Lock()
USED = {}


def find_fault(method, path):
    try:
        with open(os.path.join(ROOT, ".faults")) as rules:
            lines = rules.read().splitlines()
    except FileNotFoundError:
        return None, 0, []
    with LOCK:
        for i, line in enumerate(lines):
            m, part, times, action, *number = line.split()
            if m != method or part not in path or USED.get((i, line), 0) >= int(times):
                continue
            USED[(i, line)] = USED.get((i, line), 0) + 1
            return action, int(number[0]) if number else 0, number[1:]
    return None, 0, []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def note(self, status):
        with LOCK, open(os.path.join(ROOT, ".log"), "a") as log:
            log.write("%s %s %s %d\n" % (self.command, self.path, self.headers.get("Range", "-"), status))

    def local(self):
        return os.path.join(ROOT, self.path.split("?")[0].lstrip("/"))

    def answer(self, status, body=b"", headers=()):
        self.note(status)
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def fault(self, action, number, words):
        if action == "status":
            self.answer(number, b"as told")
        elif action == "retry":
            self.answer(429, b"slow down", [("Retry-After", str(number))])
        elif action == "s3error":
            self.answer(number, b"<Error><Code>%s</Code><Message>as told</Message><Token-0>hidden</Token-0></Error>" % words[0].encode())
        else:
            return False
        return True

    def do_GET(self):
        action, number, words = find_fault(self.command, self.path)
        if self.fault(action, number, words):
            return
        try:
            with open(self.local(), "rb") as f:
                body = f.read()
        except OSError:
            self.answer(404, b"no such object")
            return
        if self.command == "HEAD":
            self.note(200)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            return
        status, headers = 200, []
        m = re.match(r"bytes=(\d+)-(\d+)$", self.headers.get("Range", ""))
        if m and action != "norange":
            first, last = int(m.group(1)), int(m.group(2))
            if first >= len(body):
                self.answer(416)
                return
            headers.append(("Content-Range", "bytes %d-%d/%d" % (first, min(last, len(body) - 1), len(body))))
            body = body[first:last + 1]
            status = 206
        if action == "cut":
            self.note(status)
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:number])
            self.wfile.flush()
            self.close_connection = True
            return
        if action == "short":
            body = body[:number]
        if action == "long":
            body += b"x" * number
        self.answer(status, body, headers)

    do_HEAD = do_GET

    def do_PUT(self):
        action, number, words = find_fault(self.command, self.path)
        length = int(self.headers.get("Content-Length", "-1"))
        if action == "cut":
            self.rfile.read(min(number, length))
            self.note(0)
            self.close_connection = True
            return
        body = self.rfile.read(length) if length >= 0 else b""
        if length < 0:
            self.answer(411)
            return
        if self.fault(action, number, words):
            return
        if self.headers.get("If-None-Match") == "*" and os.path.exists(self.local()):
            self.answer(412)
            return
        os.makedirs(os.path.dirname(self.local()), exist_ok=True)
        with open(self.local(), "wb") as f:
            f.write(body)
        self.answer(201, b"", [("ETag", '"%d"' % len(body))])

    def do_POST(self):
        """Uploads to S3 in parts: begin and complete them; the parts themselves are not joined."""
        action, number, words = find_fault(self.command, self.path)
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.fault(action, number, words):
            return
        if self.path.endswith("?uploads="):
            self.answer(200, b"<InitiateMultipartUploadResult><UploadId>one</UploadId></InitiateMultipartUploadResult>")
        else:
            self.answer(200, b"<CompleteMultipartUploadResult/>")

    def do_DELETE(self):
        if "?uploadId=" in self.path:
            self.answer(204)
            return
        try:
            os.unlink(self.local())
            self.answer(204)
        except OSError:
            self.answer(404)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # clients that hang up are part of the tests


server = Server(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
