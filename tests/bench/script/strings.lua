local total = 0
for i = 0, 199999 do
    local s = "item " .. i .. " of " .. total
    total = total + #s
end
local parts = {}
for i = 0, 99999 do
    parts[#parts + 1] = i .. ","
end
local text = table.concat(parts)
local words = 0
for part in text:gmatch("[^,]*") do
    if part:sub(-1) == "7" then words = words + 1 end
end
print(total + #text + words)
