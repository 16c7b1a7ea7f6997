#!/usr/bin/env python3
"""Runs a test program with an S3 server on loopback: with_s3.py PROGRAM [ARGUMENT...]

The server is Ceph's radosgw, with a monitor and a store in memory; it ends with the program. The
program finds it by BVT_S3_ENDPOINT, its keys by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and
its bucket by BVT_S3_BUCKET. Where nginx and openssl are, it also speaks TLS, with the bucket in the name of the host:
BVT_S3_TLS_ENDPOINT and BVT_S3_CA. A server that is named by BVT_S3_ENDPOINT already is used instead.
Without any server the program runs without BVT_S3_ENDPOINT, and skips what needs one.
"""
import ctypes
import datetime
import hashlib
import hmac
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid

BUCKET = "blockvisor-test"
ATTEMPTS = 3
# A slow allocator helps to find mistakes in the program, not in the server.
ENV = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
PROGRAMS = ("ceph-mon", "ceph-osd", "monmaptool", "ceph", "radosgw", "radosgw-admin")
CONF = """[global]
fsid = {fsid}
mon host = [v1:127.0.0.1:{mon}]
mon initial members = a
auth cluster required = none
auth service required = none
auth client required = none
mon allow pool size one = true
mon data avail crit = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd crush chooseleaf type = 0
osd class update on start = false
osd objectstore = memstore
memstore device bytes = 1073741824
mon data = {dir}/mon
osd data = {dir}/osd
rgw data = {dir}/rgw
run dir = {dir}
admin socket =
log file = {dir}/$name.log
rgw frontends = beast endpoint=127.0.0.1:{rgw}
rgw enable apis = s3
rgw dns name = localhost
"""
# What a host-style client needs: names below localhost, a certificate for them, and the Host header as it came.
NGINX = """daemon off; master_process off; error_log {dir}/nginx.err; pid {dir}/nginx.pid;
events {{}}
http {{
    access_log off; client_max_body_size 0;
    client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
    server {{
        listen 127.0.0.1:{tls} ssl;
        ssl_certificate {dir}/cert.pem; ssl_certificate_key {dir}/key.pem;
        location / {{ proxy_pass http://127.0.0.1:{rgw}; proxy_set_header Host $http_host; proxy_http_version 1.1; proxy_request_buffering off; }}
    }}
}}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Server:
    def __init__(self, directory):
        self.dir, self.children = directory, []
        self.port = free_port()
        self.conf = os.path.join(directory, "ceph.conf")
        self.mon_port, self.fsid = free_port(), str(uuid.uuid4())
        for name in ("mon", "osd", "rgw"):
            os.mkdir(os.path.join(directory, name))
        with open(self.conf, "w") as f:
            f.write(CONF.format(dir=directory, fsid=self.fsid, mon=self.mon_port, rgw=self.port))

    def run(self, *command):
        return subprocess.run(command, check=True, timeout=40, stdin=subprocess.DEVNULL, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout

    def spawn(self, *command):
        log = open(os.path.join(self.dir, command[0] + ".out"), "wb")
        self.children.append(subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=ENV, preexec_fn=die_with_parent))

    def start(self):
        monmap, osd_id = os.path.join(self.dir, "monmap"), str(uuid.uuid4())
        self.run("monmaptool", "--create", "--fsid", self.fsid, "--addv", "a", "[v1:127.0.0.1:%d]" % self.mon_port, monmap)
        self.run("ceph-mon", "-c", self.conf, "-i", "a", "--mkfs", "--monmap", monmap)
        self.spawn("ceph-mon", "-c", self.conf, "-i", "a", "-f")
        self.run("ceph", "-c", self.conf, "--connect-timeout", "30", "osd", "new", osd_id)
        self.run("ceph-osd", "-c", self.conf, "-i", "0", "--mkfs", "--osd-uuid", osd_id, "--monmap", monmap)
        self.spawn("ceph-osd", "-c", self.conf, "-i", "0", "-f")
        until = time.monotonic() + 40
        while " 1 up" not in self.run("ceph", "-c", self.conf, "--connect-timeout", "30", "osd", "stat"):
            if self.children[-1].poll() is not None:  # it was faster than the monitor
                self.spawn("ceph-osd", "-c", self.conf, "-i", "0", "-f")
            if time.monotonic() > until:
                raise TimeoutError("the OSD does not come up")
            time.sleep(0.1)
        self.run("radosgw-admin", "-c", self.conf, "user", "create", "--uid=test", "--display-name=test",
                 "--access-key=" + os.environ["AWS_ACCESS_KEY_ID"], "--secret-key=" + os.environ["AWS_SECRET_ACCESS_KEY"])
        self.spawn("radosgw", "-c", self.conf, "-n", "client.rgw.a", "-f")
        wait_for_bucket("127.0.0.1:%d" % self.port)

    def start_tls(self):
        if not shutil.which("nginx") or not shutil.which("openssl"):
            return
        port, cert = free_port(), os.path.join(self.dir, "cert.pem")
        names = "subjectAltName=DNS:localhost,DNS:%s.localhost" % BUCKET
        self.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                 "-subj", "/CN=test", "-addext", names, "-keyout", os.path.join(self.dir, "key.pem"), "-out", cert)
        conf = os.path.join(self.dir, "nginx.conf")
        with open(conf, "w") as f:
            f.write(NGINX.format(dir=self.dir, tls=port, rgw=self.port))
        self.spawn("nginx", "-c", conf, "-p", self.dir)
        os.environ["BVT_S3_TLS_ENDPOINT"] = "https://localhost:%d" % port
        os.environ["BVT_S3_CA"] = cert

    def stop(self):
        for child in reversed(self.children):
            child.kill()
            child.wait()


def make_bucket(host):
    """An independent signature, so that the library's own is not its only judge."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    day, empty = now[:8], hashlib.sha256(b"").hexdigest()
    scope = day + "/us-east-1/s3/aws4_request"
    names = "host;x-amz-content-sha256;x-amz-date"
    canonical = "PUT\n/%s\n\nhost:%s\nx-amz-content-sha256:%s\nx-amz-date:%s\n\n%s\n%s" % (BUCKET, host, empty, now, names, empty)
    text = "AWS4-HMAC-SHA256\n%s\n%s\n%s" % (now, scope, hashlib.sha256(canonical.encode()).hexdigest())
    key = ("AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
    for step in (day, "us-east-1", "s3", "aws4_request", text):
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    connection = http.client.HTTPConnection(host, timeout=20)
    connection.request("PUT", "/" + BUCKET, headers={
        "Host": host, "x-amz-date": now, "x-amz-content-sha256": empty,
        "Authorization": "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (
            os.environ["AWS_ACCESS_KEY_ID"], scope, names, key.hex())})
    return connection.getresponse().status


def wait_for_bucket(host):
    until = time.monotonic() + 60
    while True:
        try:
            status = make_bucket(host)
            if status in (200, 409):
                return
            why = "status %d" % status
        except OSError as e:
            why = str(e)
        if time.monotonic() > until:
            raise TimeoutError("the S3 server does not make a bucket: " + why)
        time.sleep(0.2)


def main():
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "blockvisortest")
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "secret+of/tests")
    os.environ["BVT_S3_BUCKET"] = BUCKET
    missing = [p for p in PROGRAMS if not shutil.which(p)]
    if "BVT_S3_ENDPOINT" not in os.environ and missing:
        print("with_s3: no S3 server: %s not found; tools/install-packages test" % " ".join(missing), file=sys.stderr)
        sys.exit(subprocess.call(sys.argv[1:]))
    if "BVT_S3_ENDPOINT" in os.environ:
        wait_for_bucket(os.environ["BVT_S3_ENDPOINT"].split("://")[1])
        sys.exit(subprocess.call(sys.argv[1:]))
    for attempt in range(ATTEMPTS):  # a port may be lost to somebody else
        directory = tempfile.mkdtemp(prefix="bvs3-")
        server = Server(directory)
        try:
            server.start()
            server.start_tls()
            os.environ["BVT_S3_ENDPOINT"] = "http://127.0.0.1:%d" % server.port
            sys.exit(subprocess.call(sys.argv[1:]))
        except (subprocess.SubprocessError, TimeoutError) as e:
            print("with_s3: %s: %s" % (e, getattr(e, "output", "")), file=sys.stderr)
        finally:
            server.stop()
            shutil.rmtree(directory, ignore_errors=True)
    sys.exit("with_s3: the S3 server did not start")


main()
