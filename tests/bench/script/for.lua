local x = 0
for i = 0, 999999 do x = x + i * 2 end
print(x)
