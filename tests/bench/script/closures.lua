local total = 0
local k = 3
local add = function(x) return x * k + 1 end
for i=0,199999 do total = total + add(i) end
local a = {}
for i=0,999 do a[#a+1] = i end
local function map(a,f) local r = {} for i=1,#a do r[i]=f(a[i]) end return r end
local function filter(a,f) local r = {} for i=1,#a do if f(a[i]) then r[#r+1]=a[i] end end return r end
local function reduce(a,f,s) for i=1,#a do s = f(s,a[i]) end return s end
for j=0,99 do total = total + reduce(filter(map(a,function(x) return x+j end), function(x) return x%2==0 end), function(s,x) return s+x end, 0) end
print(total)
