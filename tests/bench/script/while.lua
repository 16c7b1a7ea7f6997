local x = 0
local i = 0
while i < 1000000 do
    x = x + i % 7
    i = i + 1
end
print(x)
