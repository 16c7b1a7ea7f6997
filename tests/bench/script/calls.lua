-- The same as "bench-script calls": loads the plugin's source once, then for each call runs all of it and its height().
-- arg: plugin.lua, how often, a line to put in front.
local path, n, line = arg[1], tonumber(arg[2]), arg[3] or ""

local env = {
    { "node_id", "8c3b7a52-6d6e-4c0e-9f0e-2f7a6c1d9b10" }, { "node_name", "bench" }, { "node_version", "1.2.3" },
    { "node_protocol", "client" }, { "node_variant", "client-mainnet-archive" }, { "node_ip", "10.0.0.2" },
    { "node_gateway", "10.0.0.1" }, { "protocol_data_path", "/blockjoy/protocol_data" },
    { "data_mount_point", "/blockjoy" },
}

function node_env()
    local map = {}
    for i = 1, #env do
        map[env[i][1]] = env[i][2]
    end
    return map
end

function run_jrpc(request)
    return { jsonrpc = "2.0", result = "0x12d687", id = 0 }
end

function parse_hex(text)
    return tonumber(text)
end

function get_secret(name)
    return "secret"
end

function system_time()
    return os.time()
end

local file = assert(io.open(path))
local chunk = assert(load(line .. "\n" .. file:read("a"), "@plugin.lua"))
file:close()
local last
for _ = 1, n do
    last = chunk().height()
end
print(last)
