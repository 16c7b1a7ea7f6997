local m = {}
for i = 0, 199999 do
    local k = "k" .. (i % 1000)
    if m[k] == nil then m[k] = 0 end
    m[k] = m[k] + i
end
local total = 0
for _, v in pairs(m) do total = total + v end
local p = { x = 1, y = 2, z = { a = 5 } }
for i = 0, 199999 do
    p.x = p.x + p.y
    p.z.a = p.z.a + p.x % 3
end
print(total + p.x + p.z.a)
