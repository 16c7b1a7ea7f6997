#!/usr/bin/env python3
"""Images and jobs that misbehave: each gives a clear error and an exit code, and harms nothing else."""
import json
import pathlib
import shutil
import subprocess
import sys
import time

import blockvisor
from blockvisor import expect, wait_for

BUILD, SOURCE = sys.argv[1], sys.argv[2]
HOST = blockvisor.Host(BUILD, SOURCE)
NOT_FOUND, CONFLICT, DAMAGED = 3, 4, 8


def variant(name, change):
    """A copy of the tiny image's directory, changed."""
    out = HOST.root / "images" / name
    shutil.copytree(HOST.root / "images/tiny", out, symlinks=True)
    change(out)
    return out


def set_plugin(text):
    return lambda out: (out / "var/lib/babel/plugin/main.rhai").write_text(text)


def rename(out, name):
    path = out / "babel.yaml"
    path.write_text(path.read_text().replace("protocol_key: ", f"protocol_key: {name}-"))


def imported(name, change):
    def both(out):
        rename(out, name)
        change(out)

    return HOST.bv("image", "import", variant(name, both)).json["name"]


SERVICE = ('fn plugin_config() {#{ services: [ #{ name: "svc", run_sh: `BODY`, shutdown_timeout_secs: 2,'
           ' log_buffer_capacity_mb: 4 } ] }}\n'
           'fn height() { 7 }\n'
           'fn protocol_status() { #{ state: "broadcasting", health: "healthy" } }\n')


def service(body):
    return set_plugin(SERVICE.replace("BODY", body))


def prepares():
    HOST.start()
    HOST.build_image("tiny")
    image = HOST.bv("image", "import", HOST.root / "images/tiny").json["name"]
    HOST.bv("node", "create", image, "--name", "good", "--store-key", "")
    HOST.bv("node", "start", "good")


def good_is_well():
    expect(HOST.node("good")["status"] == "running", "the good node suffers")
    expect(int(HOST.run("good", "height")) > 0, "the good node's chain stands")


def image_without_babel_yaml():
    result = HOST.bv("image", "import", variant("nobabel", lambda out: (out / "babel.yaml").unlink()), check=False)
    expect(result.code != 0 and "babel.yaml" in result.err, f"exit {result.code}: {result.err}")
    expect(len(HOST.bv("image", "ls").json["images"]) == 1, "a broken image is in the store")


def image_without_plugin():
    def change(out):
        (out / "var/lib/babel/plugin/main.rhai").unlink()

    result = HOST.bv("image", "import", variant("noplugin", change), check=False)
    expect(result.code != 0 and "main.rhai" in result.err, f"exit {result.code}: {result.err}")


def plugin_with_a_mistake():
    image = imported("mistake", set_plugin("fn height( { 1 }\n"))
    result = HOST.bv("node", "create", image, check=False)
    expect(result.code == DAMAGED and "main.rhai:1" in result.err, f"exit {result.code}: {result.err}")
    expect(len(HOST.bv("node", "ls").json["nodes"]) == 1, "a node was made from it")


def template_of_the_tiny_image():
    config = HOST.run("good", "config")
    expect(config == "# How the chain of good is made.\nBLOCK_TIME=0.2\nCHAIN=/blockjoy/protocol_data/chain\n",
           f"the configuration is {config!r}")


def template_with_a_mistake():
    def change(out):
        with open(out / "var/lib/babel/templates/chain.conf.template", "a") as f:
            f.write("{{ nothing.here }}\n")

    image = imported("mistaken", change)
    HOST.bv("node", "create", image, "--name", "mistaken")
    HOST.bv("node", "start", "mistaken", check=False)

    def told():
        shown = HOST.node("mistaken")
        return "Variable `nothing.here` not found" in json.dumps(shown) and "line 8" in json.dumps(shown)

    wait_for("a word on the template", told)
    HOST.bv("node", "rm", "-y", "mistaken")


def image_without_a_shell():
    def change(out):
        service("sleep 1000")(out)
        (out / "bin/sh").unlink()

    image = imported("noshell", change)
    HOST.bv("node", "create", image, "--name", "noshell")
    HOST.bv("node", "start", "noshell", check=False)

    def told():
        job = HOST.job("noshell", "svc")
        return "/bin/sh" in str(job["status"]) + str(job["logs"])

    wait_for("a word on /bin/sh", told)
    restarts = HOST.job("noshell", "svc")["restart_count"]
    time.sleep(1)
    expect(HOST.job("noshell", "svc")["restart_count"] <= restarts + 2, "it is retried in a tight loop")
    HOST.bv("node", "rm", "-y", "noshell")


def plugin_in_an_endless_loop():
    image = imported("endless", set_plugin(SERVICE.replace("BODY", "sleep 1000") + "fn spin() { loop { } }\n"))
    HOST.bv("node", "create", image, "--name", "endless")
    HOST.bv("node", "start", "endless")
    call = HOST.bv_start("node", "run", "spin", "endless")
    begun = time.monotonic()
    good_is_well()
    expect(HOST.node("endless")["height"] == 7, "its own status is blocked")
    expect(time.monotonic() - begun < 5, "others wait for it")
    code = call.wait(timeout=90)
    expect(code != 0, "an endless loop succeeded")
    expect(HOST.run("endless", "height") == "7", "it does not answer afterwards")
    HOST.bv("node", "rm", "-y", "endless")


def plugin_that_allocates_without_end():
    body = 'fn eat() { let a = []; loop { a.push("0123456789abcdef" + a.len()); } }\n'
    image = imported("eater", set_plugin(SERVICE.replace("BODY", "sleep 1000") + body))
    HOST.bv("node", "create", image, "--name", "eater")
    HOST.bv("node", "start", "eater")
    result = HOST.bv("node", "run", "eat", "eater", check=False, timeout=90)
    expect(result.code != 0, "it succeeded")
    status = pathlib.Path(f"/proc/{HOST.daemon.pid}/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) // 1024
    expect(peak < 600, f"the daemon grew to {peak} MiB")
    expect(HOST.run("eater", "height") == "7", "it does not answer afterwards")
    HOST.bv("node", "rm", "-y", "eater")


def job_that_floods_its_log():
    image = imported("flood", service("exec cat /dev/zero | tr '\\0' 'x' | fold -w 200"))
    HOST.bv("node", "create", image, "--name", "flood")
    HOST.bv("node", "start", "flood")
    time.sleep(4)
    logs = HOST.node_dir("flood") / "rootfs/var/lib/babel/jobs/svc"
    size = sum(f.stat().st_size for f in logs.glob("logs*"))
    expect(0 < size <= 3 * 4 * 1000 * 1000 + 100000, f"logs take {size} bytes")
    good_is_well()
    page = HOST.bv("job", "logs", "flood", "svc", "-n", "5").json
    expect("xxxx" in page["text"], "its output cannot be read")
    runner = HOST.pids("flood", "babel_job_runner")
    rss = pathlib.Path(f"/proc/{runner[0]}/status").read_text().split("VmRSS:")[1].split()[0]
    expect(int(rss) < 4096, f"the runner takes {rss} kB")
    HOST.bv("job", "stop", "flood", "svc")
    HOST.bv("node", "rm", "-y", "flood")


def names_and_arguments_that_are_wrong():
    cases = [(("node", "show", "nobody"), NOT_FOUND), (("node", "create", "no/such:image"), NOT_FOUND),
             (("node", "create", "tiny", "--name", "../x"), 1), (("node", "create", "tiny", "--name", "good"), CONFLICT),
             (("node", "create"), 2), (("node", "run", "nothing", "good"), NOT_FOUND),
             (("job", "show", "good", "nothing"), NOT_FOUND), (("job", "logs", "good", "../../etc"), 1),
             (("snapshot", "verify", "nothing-there"), NOT_FOUND), (("image", "rm", "nothing"), NOT_FOUND)]
    image = HOST.bv("image", "ls").json["images"][0]["name"]
    for args, code in cases:
        args = tuple(image if a == "tiny" else a for a in args)
        result = HOST.bv(*args, check=False)
        expect(result.code == code, f"bv {' '.join(args)}: exit {result.code}, not {code}: {result.err}")
        expect(result.err.startswith("Error: "), f"bv {' '.join(args)}: {result.err!r}")


def agent_bundle_that_is_not_one():
    """A typing mistake is told at the daemon's start, not at the first node's."""
    for given in (HOST.root / "nowhere", HOST.root / "images"):
        command = [HOST.build / "daemon/blockvisord", "--root", HOST.root / "other", "--agent-dir", given]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        expect(done.returncode == 1 and str(given) in done.stderr, f"exit {done.returncode}: {done.stderr}")


def image_in_use_is_kept():
    image = HOST.node("good")["image"]["name"]
    result = HOST.bv("image", "rm", image, check=False)
    expect(result.code == CONFLICT, f"exit {result.code}: {result.err}")
    good_is_well()


def damaged_state_file_is_set_aside():
    node = HOST.node("good")
    directory = HOST.node_dir("good")
    HOST.kill()
    text = (directory / "state.json").read_text()
    (directory / "state.json").write_text(text[:len(text) // 2])
    HOST.start()
    expect(not HOST.bv("node", "ls").json["nodes"], "a damaged node is listed")
    kept = list(directory.glob("state.json.damaged-*"))
    expect(len(kept) == 1 and kept[0].read_text() == text[:len(text) // 2], "the damaged file is gone")
    expect((directory / "data/protocol_data").is_dir(), "its data is gone")
    expect("damaged" in HOST.bv("events").out, "nobody is told")
    HOST.kill()
    kept[0].unlink()
    (directory / "state.json").write_text(text)
    HOST.start()
    wait_for("the node", lambda: HOST.node("good")["status"] == "running")
    expect(HOST.node("good")["pid"] == node["pid"], "the node was restarted")


def one_shot_programs_on_a_root():
    """`bv --host local:` opens the root anew for each command; none may find the node half attached."""
    HOST.stop()

    def local(*args, check=True):
        command = [HOST.build / "cli/bv", "-q", "-o", "json", "-H", f"local:{HOST.root}", *args]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        expect(not check or done.returncode == 0, f"bv {' '.join(args)}: {done.stderr}")
        return done

    expect('"running"' in local("node", "show", "good").stdout, "a running node is not seen as such")
    expect(int(json.loads(local("node", "run", "height", "good").stdout)["result"]) > 0, "it does not answer")
    local("job", "ls", "good")
    container = json.loads(local("node", "show", "good").stdout)["pid"]
    local("node", "stop", "good")
    expect(HOST.start_time(container) is None, "its container outlives the stop")
    result = local("node", "run", "height", "good", check=False)
    expect(result.returncode == CONFLICT and "bv node start" in result.stderr, f"{result.returncode}: {result.stderr}")
    local("node", "start", "good")
    HOST.start()
    good_is_well()


if __name__ == "__main__":
    with HOST:
        sys.exit(blockvisor.main([prepares, template_of_the_tiny_image, image_without_babel_yaml,
                                  image_without_plugin, plugin_with_a_mistake, template_with_a_mistake,
                                  image_without_a_shell, plugin_in_an_endless_loop, plugin_that_allocates_without_end,
                                  job_that_floods_its_log, names_and_arguments_that_are_wrong, agent_bundle_that_is_not_one,
                                  image_in_use_is_kept,
                                  damaged_state_file_is_set_aside,
                                  one_shot_programs_on_a_root]))
