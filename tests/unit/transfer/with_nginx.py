#!/usr/bin/env python3
"""Runs a test program with nginx on loopback: with_nginx.py PROGRAM [ARGUMENT...]

One directory (BVT_NGINX_ROOT) is served in several ways below BVT_NGINX_URL: /listed/ with an index, /json/ with one in JSON,
/plain/ without, /slow/ at 400 KB/s, /dav/ to be written to; and all of it by TLS at BVT_NGINX_TLS_URL, with a certificate that only
BVT_NGINX_CA vouches for. Without nginx the program runs without these, and skips what needs them.
"""
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

CONF = """daemon off; master_process off; error_log {dir}/error.log; pid {dir}/pid;
events {{}}
http {{
    access_log off; default_type application/octet-stream; client_max_body_size 0;
    client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{tls} ssl;
        ssl_certificate {dir}/cert.pem; ssl_certificate_key {dir}/key.pem;
        location /listed/ {{ alias {dir}/www/; autoindex on; }}
        location /json/ {{ alias {dir}/www/; autoindex on; autoindex_format json; }}
        location /plain/ {{ alias {dir}/www/; }}
        location /slow/ {{ alias {dir}/www/; limit_rate 400k; }}
        location /dav/ {{ alias {dir}/www/; dav_methods PUT DELETE; create_full_put_path on; }}
    }}
}}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def make_certificate(directory):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=test", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-keyout", directory + "/key.pem", "-out", directory + "/cert.pem"],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for(port, child):
    until = time.monotonic() + 20
    while time.monotonic() < until and child.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        except OSError:
            time.sleep(0.02)
    return False


def main():
    if not shutil.which("nginx") or not shutil.which("openssl"):
        print("with_nginx: no nginx or openssl; tools/install-packages test", file=sys.stderr)
        sys.exit(subprocess.call(sys.argv[1:]))
    directory = tempfile.mkdtemp(prefix="bvnginx-")
    child = None
    try:
        os.mkdir(directory + "/www")
        os.chmod(directory, 0o755)
        make_certificate(directory)
        port, tls = free_port(), free_port()
        with open(directory + "/nginx.conf", "w") as f:
            f.write(CONF.format(dir=directory, port=port, tls=tls))
        child = subprocess.Popen(["nginx", "-c", directory + "/nginx.conf", "-p", directory], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)
        if not wait_for(port, child):
            log = open(directory + "/error.log").read() if os.path.exists(directory + "/error.log") else ""
            sys.exit("with_nginx: nginx did not start: " + log)
        os.environ.update(BVT_NGINX_ROOT=directory + "/www", BVT_NGINX_URL="http://127.0.0.1:%d" % port,
                          BVT_NGINX_TLS_URL="https://localhost:%d" % tls, BVT_NGINX_CA=directory + "/cert.pem")
        sys.exit(subprocess.call(sys.argv[1:]))
    finally:
        if child:
            child.terminate()
            child.wait()
        shutil.rmtree(directory, ignore_errors=True)


main()
