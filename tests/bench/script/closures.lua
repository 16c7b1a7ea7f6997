local total = 0
local k = 3
local add = function(x) return x * k + 1 end
for i = 0, 199999 do total = total + add(i) end
local a = {}
for i = 0, 999 do a[#a + 1] = i end

local function map(list, f)
    local r = {}
    for i = 1, #list do r[i] = f(list[i]) end
    return r
end

local function filter(list, f)
    local r = {}
    for i = 1, #list do
        if f(list[i]) then r[#r + 1] = list[i] end
    end
    return r
end

local function reduce(list, f, s)
    for i = 1, #list do s = f(s, list[i]) end
    return s
end

for j = 0, 99 do
    local mapped = map(a, function(x) return x + j end)
    local even = filter(mapped, function(x) return x % 2 == 0 end)
    total = total + reduce(even, function(s, x) return s + x end, 0)
end
print(total)
