#!/bin/sh
# In the place of a debug server: the program's lines go to a file, its files come and go by semihosting.
arguments=$(printf ',arg=%s' $2)
exec qemu-system-arm -machine mps2-an386 -display none -monitor none -parallel none -serial none \
  -semihosting-config "enable=on,target=native$arguments" -kernel "$1" >lines.txt 2>&1
