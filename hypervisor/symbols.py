#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the symbol table of the second link: symbols.py NM ELF OUTPUT.S"""
import subprocess
import sys


def functions(nm, elf):
    """Yields (address, name) of the text symbols, ascending, one per address."""
    output = subprocess.run([nm, '-n', elf], check=True, capture_output=True, text=True).stdout
    start = None
    last = None
    for line in output.splitlines():
        fields = line.split()
        if len(fields) != 3:
            continue
        address, kind, name = int(fields[0], 16), fields[1], fields[2]
        if name == '_text_start':
            start = address
        if kind not in 'tTwW' or name.startswith(('$', '.L')) or start is None:
            continue
        if name.startswith('_text_') or name.startswith('_idmap_') or address == last:
            continue
        last = address
        yield address - start, name


def main():
    nm, elf, output = sys.argv[1:]
    table = list(functions(nm, elf))
    offset = 0
    with open(output, 'w', encoding='ascii') as out:
        out.write('    .section .symbols, "a"\n    .balign 8\n')
        out.write('    .global symbol_count, symbols, symbol_names\n')
        out.write(f'symbol_count:\n    .long {len(table)}\n    .balign 8\nsymbols:\n')
        for address, name in table:
            out.write(f'    .long {address}, {offset}\n')
            offset += len(name) + 1
        out.write('symbol_names:\n')
        for _, name in table:
            out.write(f'    .asciz "{name}"\n')


main()
