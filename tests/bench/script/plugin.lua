-- The same program as plugin.rhai; see there.

local VARIANTS = {
    ["client-mainnet-full"] = {
        net = "mainnet", chain_id = 1, kind = "full", p2p_port = 30001, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 4096,
        bootnodes = {
            "enode://6513270e269e0d37f2a74de452e6b438@10.1.0.1:30001",
            "enode://d23f0824128b2f330c5c7fd0a6a3a450@10.1.1.1:30001",
        },
        extra = { checkpoint = "https://checkpoint.mainnet.example", pruning = true },
    },
    ["client-mainnet-archive"] = {
        net = "mainnet", chain_id = 1, kind = "archive", p2p_port = 30001, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 16384,
        bootnodes = {
            "enode://9531985d5d9dc9f81818e811892f902b@10.1.0.1:30001",
            "enode://36f675cc81e74ef5e8e25d940ed90475@10.1.1.1:30001",
        },
        extra = { checkpoint = "https://checkpoint.mainnet.example", pruning = false },
    },
    ["client-mainnet-light"] = {
        net = "mainnet", chain_id = 1, kind = "light", p2p_port = 30001, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 512,
        bootnodes = {
            "enode://6b0d549b6f03675a1600a35a099950d8@10.1.0.1:30001",
            "enode://8d116ece1738f7d93d9c172411e20b8f@10.1.1.1:30001",
        },
        extra = { checkpoint = "https://checkpoint.mainnet.example", pruning = true },
    },
    ["client-mainnet-snap"] = {
        net = "mainnet", chain_id = 1, kind = "snap", p2p_port = 30001, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 2048,
        bootnodes = {
            "enode://90c192cfd3ac94af0f21ddb66cad4a26@10.1.0.1:30001",
            "enode://a170b33839263059f28c105d1fb17c23@10.1.1.1:30001",
        },
        extra = { checkpoint = "https://checkpoint.mainnet.example", pruning = true },
    },
    ["client-sepolia-full"] = {
        net = "sepolia", chain_id = 11155111, kind = "full", p2p_port = 30675, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 4096,
        bootnodes = {
            "enode://0fd630f1f29d0da9953f48f1a09f76b5@10.111.0.1:30675",
            "enode://0cb1e29c658cda1495e60af593bd04cf@10.111.1.1:30675",
        },
        extra = { checkpoint = "https://checkpoint.sepolia.example", pruning = true },
    },
    ["client-sepolia-archive"] = {
        net = "sepolia", chain_id = 11155111, kind = "archive", p2p_port = 30675, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 16384,
        bootnodes = {
            "enode://8e81973e0becd7b03898d190f9ebdacc@10.111.0.1:30675",
            "enode://6b4cb2424a23d5962217beaddbc496cb@10.111.1.1:30675",
        },
        extra = { checkpoint = "https://checkpoint.sepolia.example", pruning = false },
    },
    ["client-sepolia-light"] = {
        net = "sepolia", chain_id = 11155111, kind = "light", p2p_port = 30675, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 512,
        bootnodes = {
            "enode://922766581e27a1c08a6a63ec24ede6a4@10.111.0.1:30675",
            "enode://ae97ba94d0eda82f8f6d05584ef8aa38@10.111.1.1:30675",
        },
        extra = { checkpoint = "https://checkpoint.sepolia.example", pruning = true },
    },
    ["client-sepolia-snap"] = {
        net = "sepolia", chain_id = 11155111, kind = "snap", p2p_port = 30675, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 2048,
        bootnodes = {
            "enode://923a736994e3bf911a61dbe22e44158b@10.111.0.1:30675",
            "enode://18f135d25f557203301850c5a38fd547@10.111.1.1:30675",
        },
        extra = { checkpoint = "https://checkpoint.sepolia.example", pruning = true },
    },
    ["client-holesky-full"] = {
        net = "holesky", chain_id = 17000, kind = "full", p2p_port = 30051, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 4096,
        bootnodes = {
            "enode://907a70c31012f037b64ce4228c38fb29@10.0.0.1:30051",
            "enode://7f15052434b9b5df9e7769b10f4205b4@10.0.1.1:30051",
        },
        extra = { checkpoint = "https://checkpoint.holesky.example", pruning = true },
    },
    ["client-holesky-archive"] = {
        net = "holesky", chain_id = 17000, kind = "archive", p2p_port = 30051, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 16384,
        bootnodes = {
            "enode://c6f877186d76b07e881ed162ae2eb154@10.0.0.1:30051",
            "enode://ec66a78795e761d17731af10506bf2ef@10.0.1.1:30051",
        },
        extra = { checkpoint = "https://checkpoint.holesky.example", pruning = false },
    },
    ["client-holesky-light"] = {
        net = "holesky", chain_id = 17000, kind = "light", p2p_port = 30051, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 512,
        bootnodes = {
            "enode://3f98e2774cbd87ad5c90a9587403e430@10.0.0.1:30051",
            "enode://c7a2ea20b2f14c942e05319acb5c7427@10.0.1.1:30051",
        },
        extra = { checkpoint = "https://checkpoint.holesky.example", pruning = true },
    },
    ["client-holesky-snap"] = {
        net = "holesky", chain_id = 17000, kind = "snap", p2p_port = 30051, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 2048,
        bootnodes = {
            "enode://4cdd2055930d6eaf14f4733f3e7d1bfb@10.0.0.1:30051",
            "enode://57ee05cde00902c77ebff20686734721@10.0.1.1:30051",
        },
        extra = { checkpoint = "https://checkpoint.holesky.example", pruning = true },
    },
    ["client-hoodi-full"] = {
        net = "hoodi", chain_id = 560048, kind = "full", p2p_port = 30731, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 4096,
        bootnodes = {
            "enode://9be4bcfc49b64a0872e6cc3ababced20@10.48.0.1:30731",
            "enode://830e07bc1e398f1012bd4acefaecbd38@10.48.1.1:30731",
        },
        extra = { checkpoint = "https://checkpoint.hoodi.example", pruning = true },
    },
    ["client-hoodi-archive"] = {
        net = "hoodi", chain_id = 560048, kind = "archive", p2p_port = 30731, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 16384,
        bootnodes = {
            "enode://5790f82ec1d3fcff2a3af4d46b0a18e8@10.48.0.1:30731",
            "enode://6bf46c697d2caf82eeeacbe226e87555@10.48.1.1:30731",
        },
        extra = { checkpoint = "https://checkpoint.hoodi.example", pruning = false },
    },
    ["client-hoodi-light"] = {
        net = "hoodi", chain_id = 560048, kind = "light", p2p_port = 30731, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 512,
        bootnodes = {
            "enode://13deef86ab1031d0f646e1f40a097c97@10.48.0.1:30731",
            "enode://ca02135e92b1d3f28ede0d7ac3baea9e@10.48.1.1:30731",
        },
        extra = { checkpoint = "https://checkpoint.hoodi.example", pruning = true },
    },
    ["client-hoodi-snap"] = {
        net = "hoodi", chain_id = 560048, kind = "snap", p2p_port = 30731, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 2048,
        bootnodes = {
            "enode://571242425051c1ccd17f9acae01f5057@10.48.0.1:30731",
            "enode://7f26144b98289fcd59a54a7bb1fee08f@10.48.1.1:30731",
        },
        extra = { checkpoint = "https://checkpoint.hoodi.example", pruning = true },
    },
    ["client-gnosis-full"] = {
        net = "gnosis", chain_id = 100, kind = "full", p2p_port = 30100, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 4096,
        bootnodes = {
            "enode://119a72d174c9df6acc011cdd9474031b@10.100.0.1:30100",
            "enode://451abd81f1d69ed617f5e837d70820fe@10.100.1.1:30100",
        },
        extra = { checkpoint = "https://checkpoint.gnosis.example", pruning = true },
    },
    ["client-gnosis-archive"] = {
        net = "gnosis", chain_id = 100, kind = "archive", p2p_port = 30100, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 16384,
        bootnodes = {
            "enode://10a3d6b2aa05e11ab2715945795e8229@10.100.0.1:30100",
            "enode://4f426dcbb394fb36bb2d420f0f88080b@10.100.1.1:30100",
        },
        extra = { checkpoint = "https://checkpoint.gnosis.example", pruning = false },
    },
    ["client-gnosis-light"] = {
        net = "gnosis", chain_id = 100, kind = "light", p2p_port = 30100, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 512,
        bootnodes = {
            "enode://ae658f33fe3b890b93f448b3a5aa3c81@10.100.0.1:30100",
            "enode://b774eb5248db40af72158370d269a9a5@10.100.1.1:30100",
        },
        extra = { checkpoint = "https://checkpoint.gnosis.example", pruning = true },
    },
    ["client-gnosis-snap"] = {
        net = "gnosis", chain_id = 100, kind = "snap", p2p_port = 30100, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 2048,
        bootnodes = {
            "enode://58d5563dab2cd31ee315128862c33a4f@10.100.0.1:30100",
            "enode://5affb2297631a992f0ce583505c6af07@10.100.1.1:30100",
        },
        extra = { checkpoint = "https://checkpoint.gnosis.example", pruning = true },
    },
    ["client-chiado-full"] = {
        net = "chiado", chain_id = 10200, kind = "full", p2p_port = 30230, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 4096,
        bootnodes = {
            "enode://7e62aa0a1df9fd789c6539382b0537e6@10.0.0.1:30230",
            "enode://49952399c4aaeac137dc76fb0f17a300@10.0.1.1:30230",
        },
        extra = { checkpoint = "https://checkpoint.chiado.example", pruning = true },
    },
    ["client-chiado-archive"] = {
        net = "chiado", chain_id = 10200, kind = "archive", p2p_port = 30230, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 16384,
        bootnodes = {
            "enode://65dc9f503f63af83bd0561e6211c70cf@10.0.0.1:30230",
            "enode://7f1b103cdf1582b0eab477d26415479c@10.0.1.1:30230",
        },
        extra = { checkpoint = "https://checkpoint.chiado.example", pruning = false },
    },
    ["client-chiado-light"] = {
        net = "chiado", chain_id = 10200, kind = "light", p2p_port = 30230, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 512,
        bootnodes = {
            "enode://66d2287672fdf2022a96fb1a14a0f9e7@10.0.0.1:30230",
            "enode://230d977ee22571594720771f8ca81811@10.0.1.1:30230",
        },
        extra = { checkpoint = "https://checkpoint.chiado.example", pruning = true },
    },
    ["client-chiado-snap"] = {
        net = "chiado", chain_id = 10200, kind = "snap", p2p_port = 30230, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 2048,
        bootnodes = {
            "enode://8cdb305fdd2e16096e36aab0d1bc52d9@10.0.0.1:30230",
            "enode://fc891b4a6a50df4db4d66a3a47469a4d@10.0.1.1:30230",
        },
        extra = { checkpoint = "https://checkpoint.chiado.example", pruning = true },
    },
    ["client-base-full"] = {
        net = "base", chain_id = 8453, kind = "full", p2p_port = 30477, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 4096,
        bootnodes = {
            "enode://616499c9e25a7605aec6f0245bd86d40@10.53.0.1:30477",
            "enode://153e7c2a26a2c0bd3b1287fff52ddf5d@10.53.1.1:30477",
        },
        extra = { checkpoint = "https://checkpoint.base.example", pruning = true },
    },
    ["client-base-archive"] = {
        net = "base", chain_id = 8453, kind = "archive", p2p_port = 30477, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 16384,
        bootnodes = {
            "enode://a8948c893b61867626bb7dbd2d1c9af0@10.53.0.1:30477",
            "enode://d4c28c2e7c26847f0316909e3bbbe9ea@10.53.1.1:30477",
        },
        extra = { checkpoint = "https://checkpoint.base.example", pruning = false },
    },
    ["client-base-light"] = {
        net = "base", chain_id = 8453, kind = "light", p2p_port = 30477, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 512,
        bootnodes = {
            "enode://482c9cbc43435cc52eae05cf96d0cc5f@10.53.0.1:30477",
            "enode://88daf4016b4013ef254b0c4e010c4759@10.53.1.1:30477",
        },
        extra = { checkpoint = "https://checkpoint.base.example", pruning = true },
    },
    ["client-base-snap"] = {
        net = "base", chain_id = 8453, kind = "snap", p2p_port = 30477, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 2048,
        bootnodes = {
            "enode://519088f590fbbd119c1caaf75e8766ed@10.53.0.1:30477",
            "enode://dbf4a8b2b0c4312d20203626f3fe39c0@10.53.1.1:30477",
        },
        extra = { checkpoint = "https://checkpoint.base.example", pruning = true },
    },
    ["client-scroll-full"] = {
        net = "scroll", chain_id = 534352, kind = "full", p2p_port = 30957, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 4096,
        bootnodes = {
            "enode://a7abe1c29e1a8ef4f341e07a83f73f16@10.152.0.1:30957",
            "enode://74e69a5d0dd27a65bd628881ad1b72db@10.152.1.1:30957",
        },
        extra = { checkpoint = "https://checkpoint.scroll.example", pruning = true },
    },
    ["client-scroll-archive"] = {
        net = "scroll", chain_id = 534352, kind = "archive", p2p_port = 30957, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 16384,
        bootnodes = {
            "enode://f3aed0b6c7ac1491def88334e647cb8f@10.152.0.1:30957",
            "enode://8f2c6ec8cc4169a3ae3a2b7fdfe01893@10.152.1.1:30957",
        },
        extra = { checkpoint = "https://checkpoint.scroll.example", pruning = false },
    },
    ["client-scroll-light"] = {
        net = "scroll", chain_id = 534352, kind = "light", p2p_port = 30957, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 512,
        bootnodes = {
            "enode://64e50cad66237a0465e7e4236472f1a3@10.152.0.1:30957",
            "enode://66836886a260cd0b7b45145c1a81682c@10.152.1.1:30957",
        },
        extra = { checkpoint = "https://checkpoint.scroll.example", pruning = true },
    },
    ["client-scroll-snap"] = {
        net = "scroll", chain_id = 534352, kind = "snap", p2p_port = 30957, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 2048,
        bootnodes = {
            "enode://fc132d0d113db17d30cbc97d0fef7928@10.152.0.1:30957",
            "enode://1c2442f9298cb3a570ccec313571810a@10.152.1.1:30957",
        },
        extra = { checkpoint = "https://checkpoint.scroll.example", pruning = true },
    },
    ["client-mantle-full"] = {
        net = "mantle", chain_id = 5000, kind = "full", p2p_port = 30015, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 4096,
        bootnodes = {
            "enode://1a358ca00d75985d99c94309570dc195@10.0.0.1:30015",
            "enode://895fd7b326b94c7f9118bb16000f49c8@10.0.1.1:30015",
        },
        extra = { checkpoint = "https://checkpoint.mantle.example", pruning = true },
    },
    ["client-mantle-archive"] = {
        net = "mantle", chain_id = 5000, kind = "archive", p2p_port = 30015, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 16384,
        bootnodes = {
            "enode://9d1de2a05d158a2ff2ee4e4519f9919c@10.0.0.1:30015",
            "enode://353c631cdfd43f371200339d068739fa@10.0.1.1:30015",
        },
        extra = { checkpoint = "https://checkpoint.mantle.example", pruning = false },
    },
    ["client-mantle-light"] = {
        net = "mantle", chain_id = 5000, kind = "light", p2p_port = 30015, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 512,
        bootnodes = {
            "enode://a268aa872607679d6050914a9d33a01c@10.0.0.1:30015",
            "enode://9a2ef80f58ee8571f4998d7c4093f6de@10.0.1.1:30015",
        },
        extra = { checkpoint = "https://checkpoint.mantle.example", pruning = true },
    },
    ["client-mantle-snap"] = {
        net = "mantle", chain_id = 5000, kind = "snap", p2p_port = 30015, rpc_port = 8545,
        ws_port = 8546, engine_port = 8551, metrics_port = 6060, cache_mb = 2048,
        bootnodes = {
            "enode://1d87cec31f7296ab7961fd925d39d0a8@10.0.0.1:30015",
            "enode://fa529ba3fe3bfada7cf20724d953ee26@10.0.1.1:30015",
        },
        extra = { checkpoint = "https://checkpoint.mantle.example", pruning = true },
    },
}

local ENV = node_env()
local VARIANT = VARIANTS[ENV.node_variant]
local RPC = "http://127.0.0.1:" .. VARIANT.rpc_port .. "/"
local WS = "ws://127.0.0.1:" .. VARIANT.ws_port .. "/"
local DATA = ENV.protocol_data_path
local CHAIN_DIR = DATA .. "/chain"
local KEYS_DIR = DATA .. "/keys"
local LOG_DIR = "/var/log/" .. ENV.node_protocol
local JWT_FILE = KEYS_DIR .. "/jwt.hex"
local CONFIG_FILE = "/etc/" .. ENV.node_protocol .. "/config.toml"
local METRICS = "127.0.0.1:" .. VARIANT.metrics_port
local BOOTNODES = VARIANT.bootnodes
local IS_ARCHIVE = VARIANT.kind == "archive"
local CACHE = IS_ARCHIVE and VARIANT.cache_mb * 2 or VARIANT.cache_mb
local HEADERS = { ["content-type"] = "application/json", ["user-agent"] = "node/" .. ENV.node_version }
local MAX_PEERS = VARIANT.net == "mainnet" and 100 or 50

local M = {}

local function join(items, separator)
    return table.concat(items, separator)
end

local function arguments(list)
    local text = {}
    for i, pair in ipairs(list) do
        text[i] = " --" .. pair[1] .. "=" .. pair[2]
    end
    return table.concat(text)
end

local function client_command()
    local args = arguments({
        { "datadir", CHAIN_DIR },
        { "network", VARIANT.net },
        { "networkid", VARIANT.chain_id },
        { "port", VARIANT.p2p_port },
        { "http.port", VARIANT.rpc_port },
        { "ws.port", VARIANT.ws_port },
        { "authrpc.port", VARIANT.engine_port },
        { "authrpc.jwtsecret", JWT_FILE },
        { "metrics.addr", METRICS },
        { "cache", CACHE },
        { "maxpeers", MAX_PEERS },
        { "bootnodes", join(BOOTNODES, ",") },
    })
    if IS_ARCHIVE then
        args = args .. " --gcmode=archive --syncmode=full"
    elseif VARIANT.extra.pruning then
        args = args .. " --gcmode=full --syncmode=snap"
    end
    return "/usr/bin/client" .. args
end

local function beacon_command()
    local args = arguments({
        { "datadir", DATA .. "/beacon" },
        { "network", VARIANT.net },
        { "execution-endpoint", "http://127.0.0.1:" .. VARIANT.engine_port },
        { "jwt-secret", JWT_FILE },
        { "checkpoint-sync-url", VARIANT.extra.checkpoint },
    })
    return "/usr/bin/beacon" .. args
end

function M.plugin_config()
    return {
        config_files = {
            {
                template = "/var/lib/babel/templates/config.toml",
                destination = CONFIG_FILE,
                params = { network = VARIANT.net, data = CHAIN_DIR, log = LOG_DIR, name = ENV.node_name },
            },
        },
        aux_services = {
            { name = "proxy", run_sh = "/usr/sbin/proxy --upstream " .. RPC .. " --listen 0.0.0.0:80" },
            { name = "agent", run_sh = "/usr/bin/agent --metrics " .. METRICS, shutdown_timeout_secs = 10 },
        },
        init = {
            commands = {
                "mkdir -p " .. CHAIN_DIR .. " " .. KEYS_DIR .. " " .. LOG_DIR,
                "chmod 700 " .. KEYS_DIR,
            },
            jobs = {
                { name = "jwt", run_sh = "test -s " .. JWT_FILE .. " || openssl rand -hex 32 > " .. JWT_FILE },
            },
        },
        download = { max_connections = 5 },
        services = {
            {
                name = "client",
                run_sh = client_command(),
                shutdown_timeout_secs = 300,
                restart_config = { backoff_timeout_ms = 60000, backoff_base_ms = 1000 },
            },
            { name = "beacon", run_sh = beacon_command(), shutdown_timeout_secs = 120 },
        },
        upload = { exclude = { "**/nodekey", "**/keystore/**", "**/LOCK" } },
    }
end

local function rpc(method)
    return run_jrpc({ host = RPC, method = method, headers = HEADERS })
end

function M.height()
    return parse_hex(rpc("eth_blockNumber").result)
end

function M.block_age()
    local block = rpc("eth_getBlockByNumber").result
    return system_time() - parse_hex(block.timestamp)
end

function M.peers()
    return parse_hex(rpc("net_peerCount").result)
end

function M.name()
    return ENV.node_name
end

function M.address()
    local keys = run_sh("cat " .. KEYS_DIR .. "/address")
    if keys.exit_code == 0 then return keys.stdout else return "unknown" end
end

local function is_syncing()
    local answer = rpc("eth_syncing").result
    if answer == false then return false end
    return parse_hex(answer.highestBlock) - parse_hex(answer.currentBlock) > 16
end

function M.protocol_status()
    if M.peers() == 0 then return { state = "starting", health = "neutral" } end
    local ok, status = pcall(function()
        if is_syncing() then
            return { state = "syncing", health = "neutral" }
        elseif M.block_age() > 900 then
            return { state = "delayed", health = "unhealthy" }
        end
        return { state = "broadcasting", health = "healthy" }
    end)
    return ok and status or { state = "error", health = "unhealthy" }
end

function M.version()
    local text = rpc("web3_clientVersion").result
    return text:match("^[^/]*/([^/]*)") or text
end

function M.summary()
    local lines = {}
    for i, service in ipairs({ "client", "beacon", "proxy" }) do
        local status
        if service == "client" then status = "rpc " .. RPC
        elseif service == "beacon" then status = "checkpoint " .. VARIANT.extra.checkpoint
        else status = "internal" end
        lines[i] = (i - 1) .. ": " .. service .. " (" .. status .. ")"
    end
    return join(lines, "; ")
end

return M
