#!/usr/bin/env python3
"""Plugins of nodes that live: methods beside a slow init, reload, properties, checks, metrics, tasks, RAM disks."""
import http.client
import json
import shutil
import signal
import socket
import sys
import time

import blockvisor
from blockvisor import expect, wait_for

BUILD, SOURCE = sys.argv[1], sys.argv[2]
HOST = blockvisor.Host(BUILD, SOURCE)
FAILED, CONFLICT, TIMEOUT, DAMAGED = 1, 4, 6, 8

# In an image of its own: everything these tests ask of a plugin.
PLUGIN = """
fn plugin_config() {#{
    init: #{ commands: [`echo ${node_params()["mode"]} >/blockjoy/mode`], jobs: [] },
    services: [ #{ name: "svc", run_sh: "exec sleep 100000", shutdown_timeout_secs: 2, use_protocol_data: false } ],
    scheduled: [ #{ name: "tick", schedule: "* * * * * *", function: "tick", param: "x" } ],
}}
fn init() {
    if node_params()["mode"] == "slow" { run_sh("touch /blockjoy/slow; sleep 4", 30); }
    default_init();
}
fn height() { 7 }
fn protocol_status() { #{ state: "broadcasting", health: "healthy" } }
fn echo(text) { text }
fn mode() { let out = run_sh("cat /blockjoy/mode").unwrap(); out.trim(); out }
fn tick(text) { run_sh("echo " + text + " >>/blockjoy/ticks").unwrap() }
fn slow(seconds) { run_sh("sleep " + seconds, 60).unwrap() }
fn sh(text) { run_sh(text).unwrap() }
fn disk() { run_sh("grep /mnt/fast /proc/mounts").unwrap() }
fn secret(key) { get_secret(key).as_string() }
fn keep(text) { put_secret("own", text.to_blob()); "" }
fn say(text) { print(text); text }
"""


def make_image():
    out = HOST.root / "images/plugins"
    shutil.copytree(HOST.root / "images/tiny", out, symlinks=True)
    (out / "var/lib/babel/plugin/main.rhai").write_text(PLUGIN)
    text = (out / "babel.yaml").read_text().replace("protocol_key: tiny", "protocol_key: plugins")
    text = text.replace("properties:\n", "properties:\n  - {key: mode, name: Mode, dynamic_value: true, default_value: "
                        "first, ui_type: !text }\n  - {key: kind, name: Kind, dynamic_value: false, default_value: a, "
                        "ui_type: !text }\n")
    text += "    ramdisks:\n      - {mount: /mnt/fast, size_mb: 8}\n"
    (out / "babel.yaml").write_text(text)
    return HOST.bv("image", "import", out).json["name"]


def prepares():
    HOST.start()
    HOST.build_image("tiny")
    image = make_image()
    HOST.bv("node", "create", image, "--name", "one", "--store-key", "")
    HOST.bv("node", "start", "one")
    expect(HOST.run("one", "mode") == "first", "init did not run")


def quick(*args, within=1.0):
    """bv's answer, which has to come soon."""
    begun = time.monotonic()
    result = HOST.bv(*args)
    took = time.monotonic() - begun
    expect(took < within, f"bv {' '.join(args)} took {took:.2f} s")
    return result.json


def answers_during_a_slow_init():
    HOST.bv("node", "create", "plugins/tiny-local-full", "--name", "two", "--store-key", "", "-p", "mode=slow")
    start = HOST.bv_start("node", "start", "two")
    wait_for("init", lambda: (HOST.node_dir("two") / "data/slow").exists())
    expect(quick("node", "status", "two")["two"] == "busy", "it is not busy")
    shown = quick("node", "show", "two")
    expect(shown["height"] == 7 and shown["work"] == "start", f"shown is {shown}")
    expect(shown["protocol_status"] == {"state": "broadcasting", "health": "healthy"}, f"{shown['protocol_status']}")
    expect(quick("node", "run", "echo", "two", "--param", "hi")["value"] == "hi", "a method waits for init")
    checked = quick("node", "check", "two", "jobs-status", "jobs-restarts", "protocol-status")
    expect(checked["passed"], f"{checked}")
    expect(HOST.bv("node", "reload", "two", check=False).code == CONFLICT, "a plugin was reloaded during init")
    expect(start.poll() is None, "init was not slow")
    expect(start.wait(timeout=60) == 0, "the start failed")


def answers_during_a_slow_method():
    call = HOST.bv_start("node", "run", "slow", "one", "--param", "6")
    time.sleep(0.5)
    for name in ("one", "two"):
        expect(quick("node", "show", name)["height"] == 7, f"{name} waits for a method")
    expect(call.poll() is None, "the method was not slow")
    call.send_signal(signal.SIGINT)
    expect(call.wait(timeout=10) == 130, "Ctrl-C does not end it")
    wait_for("the shell to be killed", lambda: not HOST.pids("one", "sleep 6"))


def deadlines_end_methods():
    result = HOST.bv("node", "run", "slow", "one", "--param", "7", "-t", "1", check=False)
    expect(result.code == TIMEOUT, f"exit {result.code}: {result.err}")
    wait_for("the shell to be killed", lambda: not HOST.pids("one", "sleep 7"))


def a_client_that_goes_away():
    call = HOST.bv_start("node", "run", "slow", "one", "--param", "8")
    wait_for("the shell", lambda: HOST.pids("one", "sleep 8"))
    call.kill()
    call.wait()
    wait_for("the shell to be killed", lambda: not HOST.pids("one", "sleep 8"))


def the_node_cannot_change_its_plugin():
    path = HOST.node_dir("one") / "rootfs/var/lib/babel/plugin/main.rhai"
    HOST.run("one", "sh", "echo 'fn height() { 666 }' >/var/lib/babel/plugin/main.rhai")
    expect("666" in path.read_text(), "the node did not write it")
    HOST.bv("node", "reload", "one")
    expect(HOST.run("one", "height") == "7", "the node's own script was run")
    HOST.restart()
    wait_for("the node", lambda: HOST.node("one")["status"] == "running")
    expect(HOST.run("one", "height") == "7", "the node's own script was run after a restart")


def development_nodes_are_live():
    source = HOST.root / "dev"
    source.mkdir()
    script = source / "main.rhai"
    script.write_text(PLUGIN)
    HOST.bv("node", "create", "plugins/tiny-local-full", "--name", "dev", "--store-key", "", "--dev", source)
    HOST.bv("node", "start", "dev")
    script.write_text(PLUGIN.replace("{ 7 }", "{ 8 }"))
    expect(HOST.run("dev", "height") == "8", "an edit is not live")
    script.write_text(PLUGIN.replace("fn height() { 7 }", "fn height( { 7 }"))
    result = HOST.bv("node", "reload", "dev", check=False)
    line = PLUGIN.split("\n").index("fn height() { 7 }") + 1
    expect(result.code == DAMAGED and f"dev/main.rhai:{line}:" in result.err, f"exit {result.code}: {result.err}")
    expect(HOST.node("dev")["height"] == 8, "the old plugin is gone")
    result = HOST.bv("node", "check", "dev", "plugin", check=False)
    expect(result.code == FAILED and f"main.rhai:{line}:" in result.out, f"exit {result.code}: {result.out}")
    script.write_text(PLUGIN)
    expect(HOST.bv("node", "check", "dev").json["passed"], "a good plugin does not pass")
    HOST.bv("node", "rm", "-y", "dev")


def properties_change():
    HOST.bv("node", "set", "one", "mode=second")
    expect(HOST.node("one")["status"] == "running", "it does not run")
    expect(HOST.run("one", "mode") == "second", "init did not run with the new value")
    expect(HOST.bv("node", "set", "one", "kind=b", check=False).code == FAILED, "a fixed property changed")
    HOST.bv("node", "stop", "one")
    HOST.bv("node", "set", "one", "mode=third")
    HOST.bv("node", "start", "one")
    expect(HOST.run("one", "mode") == "third", "init did not run at the start")


def a_change_survives_the_daemon():
    (HOST.node_dir("two") / "data/slow").unlink()
    HOST.bv("node", "set", "two", "mode=first")
    change = HOST.bv_start("node", "set", "two", "mode=slow")
    wait_for("init", lambda: (HOST.node_dir("two") / "data/slow").exists())
    HOST.kill()
    change.wait(timeout=30)
    HOST.start()
    wait_for("init to be run again", lambda: HOST.node("two")["status"] == "running")
    expect(HOST.run("two", "mode") == "slow", "init did not run with the new value")


def checks_tell_what_is_wrong():
    expect(HOST.bv("node", "check", "one").json["passed"], "a good node does not pass")
    HOST.bv("node", "stop", "one")
    result = HOST.bv("node", "check", "one", "jobs-status", check=False)
    expect(result.code == FAILED and "not running" in result.out, f"exit {result.code}: {result.out}")
    result = HOST.bv("node", "check", "one", "--start", "--jobs-wait", "1", "jobs-status", "protocol-status")
    expect(result.json["passed"] and HOST.node("one")["status"] == "running", "it was not started")
    expect(HOST.bv("node", "check", "one", "colour", check=False).code == FAILED, "there is a check 'colour'")


def ram_disks_are_there():
    mount = HOST.run("one", "disk")
    expect("tmpfs" in mount and "size=8192k" in mount, f"mounted is {mount}")


def tasks_run():
    ticks = HOST.node_dir("one") / "data/ticks"
    wait_for("a task", lambda: ticks.exists() and ticks.stat().st_size > 4)
    task = HOST.bv("node", "tasks", "one").json["tasks"][0]
    expect(task["name"] == "tick" and task["next_at"] >= time.time() - 2, f"{task}")


def secrets_are_found():
    path = HOST.root / "etc/blockvisor/secrets.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"shared": "of all nodes"}))
    path.chmod(0o600)
    expect(HOST.run("one", "secret", "shared") == "of all nodes", "the operator's secret is not found")
    HOST.run("one", "keep", "its own")
    expect(HOST.run("one", "secret", "own") == "its own", "its own secret is not found")
    expect("not_found" in HOST.bv("node", "run", "secret", "two", "--param", "own", check=False).err, "another finds it")


def metrics_text():
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(10)
    sock.connect(str(HOST.socket))
    connection = http.client.HTTPConnection("blockvisor")
    connection.sock = sock
    connection.request("GET", "/metrics")
    return connection.getresponse().read().decode()


def metrics_are_collected():
    def collected():
        nodes = {node["name"]: node["metrics"] for node in HOST.bv("node", "ls").json["nodes"]}
        return nodes["one"] and nodes["one"]["height"] == 7 and nodes

    wait_for("metrics", collected)
    text = metrics_text()
    expect('blockvisor_node_block_height{node="one"} 7' in text, text)
    expect('blockvisor_node_protocol_info{node="one",health="healthy",state="broadcasting"} 1' in text, text)


def events(after=0):
    return [json.loads(line) for line in HOST.bv("events", "--after", after).out.splitlines()]


def what_plugins_say_is_an_event():
    last = events()[-1]["seq"]
    HOST.run("one", "say", "hello there")
    said = [event for event in events(last) if event["type"] == "plugin_log"]
    expect(said and said[0]["node"] == "one" and said[0]["message"] == "hello there", f"{said}")
    expect("hello there" in HOST.log.read_text(errors="replace"), "it is not in the log")
    last = said[-1]["seq"]
    HOST.restart()
    wait_for("the node", lambda: HOST.node("one")["status"] == "running")
    HOST.run("one", "say", "again")
    expect(any(event["message"] == "again" and event["seq"] > last for event in events(last)), f"{events(last)}")


if __name__ == "__main__":
    with HOST:
        sys.exit(blockvisor.main([
            prepares, answers_during_a_slow_init, answers_during_a_slow_method, deadlines_end_methods,
            a_client_that_goes_away, the_node_cannot_change_its_plugin, development_nodes_are_live, properties_change,
            a_change_survives_the_daemon, checks_tell_what_is_wrong, ram_disks_are_there, tasks_run, secrets_are_found,
            metrics_are_collected, what_plugins_say_is_an_event]))
