; A guest that calls INT 13h in many ways and prints each answer at port E9h, one line per call,
;
;       name AX BX CX DX carry status
;
; and for what was read
;
;       name sum CHECKSUM-OF-THE-BUFFER
;
; so that two BIOSes can be compared line by line. Lines that begin with ~ hold what may differ between
; BIOSes; the test looks at ours alone there. Port F4h ends the run (QEMU's isa-debug-exit).

        bits    16
        cpu     486
        org     7C00h

PROGRAM_SECTORS equ 12
DRIVE           equ 80h
BUFFER_SEG      equ 2000h               ; up to 8FFFFh
FILL            equ 0CCh

        jmp     0:start
start:
        xor     ax, ax
        mov     ds, ax
        mov     es, ax
        cli
        mov     ss, ax
        mov     sp, 7C00h
        sti
        cld
        mov     ax, 0200h + PROGRAM_SECTORS
        mov     bx, 7E00h
        mov     cx, 2
        mov     dx, DRIVE
        int     13h
        jc      quit
        jmp     main
quit:
        mov     dx, 0F4h
        mov     al, 0
        out     dx, al
        hlt
        times   510 - ($ - $$) db 0
        dw      0AA55h

; probe name, AX, BX, CX, DX: call INT 13h with ES = [buffer_seg], DS:SI = packet, and print the result
%macro probe 5
        mov     ax, %2
        mov     bx, %3
        mov     cx, %4
        mov     dx, %5
        call    do_probe
        db      %1, 0
%endmacro

; packet LBA low dword (a register or number), count, offset, segment
%macro packet 4
        mov     eax, %1
        mov     [dap.lba], eax
        mov     dword [dap.lba + 4], 0
        mov     byte [dap], 10h
        mov     word [dap.count], %2
        mov     word [dap.offset], %3
        mov     word [dap.segment], %4
%endmacro

%macro text 1
        call    print_inline
        db      %1, 0
%endmacro

main:
        probe   '41', 4100h, 55AAh, 1234h, DRIVE
        probe   '~41 bad signature', 4100h, 1111h, 1234h, DRIVE
        probe   '41 absent drive', 4100h, 55AAh, 1234h, 8Fh
        probe   '08', 0800h, 0, 0, DRIVE
        mov     ax, [result.cx]
        mov     [last_cx], ax
        mov     ax, [result.dx]
        mov     [last_dx], ax
        probe   '15', 1500h, 0, 0, DRIVE
        probe   '01', 0100h, 0, 0, DRIVE
        probe   '10', 1000h, 0, 0, DRIVE
        probe   '09', 0900h, 0, 0, DRIVE
        probe   '0C', 0C00h, 0, 1, DRIVE
        probe   '0D', 0D00h, 0, 0, DRIVE
        probe   '11', 1100h, 0, 0, DRIVE
        probe   '14', 1400h, 0, 0, DRIVE
        probe   '00', 0000h, 0, 0, DRIVE
        probe   '45', 4500h, 0, 0, DRIVE
        probe   '46', 4600h, 0, 0, DRIVE
        probe   '49', 4900h, 0, 0, DRIVE
        probe   '~4B', 4B01h, 0, 0, DRIVE
        probe   '4E01', 4E01h, 0, 0, DRIVE
        probe   '4E00', 4E00h, 0, 0, DRIVE
        probe   '77', 7700h, 0, 0, DRIVE
        probe   '01 after an error', 0100h, 0, 0, DRIVE
        probe   '~05', 0511h, 0, 1, DRIVE
        probe   '~15 absent', 1500h, 1, 2, 8Fh
        probe   '08 absent', 0800h, 1, 2, 8Fh
        probe   '~00 floppy', 0000h, 0, 0, 0
        probe   '~02 floppy', 0201h, 0, 1, 0
        probe   '~08 floppy', 0800h, 0, 0, 0
        probe   '~15 floppy', 1500h, 0, 0, 1

; --- drive parameters: a buffer of each generation
        mov     word [edd], 26
        call    parameters
        text    '48 v1'
        mov     cx, 26
        call    dump_edd
        mov     eax, [edd + 16]
        mov     [total], eax
        mov     word [edd], 25
        call    parameters
        text    '48 too small'
        mov     cx, 4
        call    dump_edd
        mov     word [edd], 29
        call    parameters
        text    '48 between'
        mov     cx, 26
        call    dump_edd
        mov     word [edd], 30
        call    parameters
        text    '48 v2'
        mov     cx, 26
        call    dump_edd
        mov     word [edd], 66
        call    parameters
        text    '~48 Phoenix path'
        mov     cx, 68
        call    dump_edd
        mov     word [edd], 200
        call    parameters
        text    '~48 T13 path'
        mov     cx, 76
        call    dump_edd
        text    '~DPTE'
        les     si, [edd + 26]
        mov     cx, 16
        call    dump
        text    '~FDPT'
        xor     ax, ax
        mov     es, ax
        les     si, [es:41h * 4]
        mov     cx, 16
        call    dump
        text    'count'
        mov     ax, 40h
        mov     es, ax
        mov     si, 75h
        mov     cx, 1
        call    dump

; --- other drives
        mov     word [buffer_seg], BUFFER_SEG
%assign drive 81h
%rep 3
        probe   '08 other', 0800h, 0, 0, drive
        call    wipe
        probe   '02 other', 0203h, 0, 5, drive
        call    sum
        packet  999, 1, 0, BUFFER_SEG
        probe   '42 other', 4200h, 0, 0, drive
        call    sum
%assign drive drive + 1
%endrep

; --- CHS reads
        mov     word [buffer_seg], BUFFER_SEG
        call    wipe
        probe   '02 one', 0201h, 0, 1, DRIVE
        call    sum
        call    wipe
        probe   '02 track', 0220h, 0, 18, DRIVE
        call    sum
        call    wipe
        probe   '02 64 KiB', 0280h, 0, 20, DRIVE
        call    sum
        call    wipe
        probe   '02 64 KiB, odd buffer', 0280h, 8001h, 20, DRIVE
        call    sum
        call    wipe
        mov     word [buffer_seg], BUFFER_SEG - 1
        probe   '02 64 KiB, high offset', 0240h, 0FFFEh, 20, DRIVE
        mov     word [buffer_seg], BUFFER_SEG
        call    sum
        probe   '02 129 sectors', 0281h, 0, 20, DRIVE
        probe   '02 no sector', 0200h, 0, 20, DRIVE
        probe   '02 sector 0', 0201h, 0, 0, DRIVE
        mov     bx, 0
        mov     cx, [last_cx]
        mov     dx, [last_dx]
        mov     dl, DRIVE
        call    wipe
        probe   '02 last sector', 0201h, bx, cx, dx
        call    sum
        mov     cx, [last_cx]
        add     ch, 1
        jnc     .same
        add     cl, 40h
.same:  mov     dx, [last_dx]
        mov     dl, DRIVE
        call    wipe
        probe   '02 diagnostic cylinder', 0201h, 0, cx, dx
        call    sum
        mov     cx, 1
        mov     dx, [last_dx]
        inc     dh
        mov     dl, DRIVE
        probe   '02 beyond the heads', 0201h, 0, cx, dx
        probe   '04', 0440h, 0, 5, DRIVE
        probe   '02 absent', 0201h, 0, 1, 87h

; --- interrupts off
        call    wipe
        cli
        probe   '02 without interrupts', 0210h, 0, 30, DRIVE
        pushf
        pop     ax
        sti
        test    ah, 2
        jz      .still_off
        text    'interrupts were switched on '
.still_off:
        call    sum

; --- extended reads
        call    wipe
        packet  100, 127, 0, BUFFER_SEG
        probe   '42 127', 4200h, 0, 0, DRIVE
        call    show_count
        call    wipe
        packet  100, 127, 0FFF0h, BUFFER_SEG
        probe   '42 127, wrapping', 4200h, 0, 0, DRIVE
        call    show_count
        call    wipe
        packet  100, 128, 3, BUFFER_SEG
        probe   '42 128, odd', 4200h, 0, 0, DRIVE
        call    show_count
        call    wipe
        packet  100, 300, 0FFFFh, BUFFER_SEG - 0FFFh
        probe   '~42 300', 4200h, 0, 0, DRIVE
        call    show_count
        packet  100, 0, 0, BUFFER_SEG
        probe   '42 0', 4200h, 0, 0, DRIVE
        call    wipe
        mov     eax, [total]
        sub     eax, 40
        packet  eax, 40, 0, BUFFER_SEG
        probe   '42 end', 4200h, 0, 0, DRIVE
        call    show_count
        packet  [total], 1, 0, BUFFER_SEG
        probe   '42 behind the end', 4200h, 0, 0, DRIVE
        packet  0, 1, 0, BUFFER_SEG
        mov     dword [dap.lba + 4], 1
        probe   '42 far behind the end', 4200h, 0, 0, DRIVE
        mov     eax, [total]
        sub     eax, 2
        packet  eax, 3, 0, BUFFER_SEG
        probe   '~42 across the end', 4200h, 0, 0, DRIVE
        call    show_count
        packet  0, 1, 0, BUFFER_SEG
        mov     byte [dap], 0Fh
        probe   '~42 short packet', 4200h, 0, 0, DRIVE
        call    wipe
        packet  100, 2, 0FFFFh, 0FFFFh
        mov     byte [dap], 18h
        mov     dword [dap.flat], BUFFER_SEG * 16 + 20h
        mov     dword [dap.flat + 4], 0
        probe   '~42 flat', 4200h, 0, 0, DRIVE
        call    show_count
        packet  100, 2, 0FFFFh, 0FFFFh
        mov     byte [dap], 18h
        mov     dword [dap.flat], 200000h
        probe   '~42 flat, too high', 4200h, 0, 0, DRIVE
        call    wipe
        packet  100, 127, 0, BUFFER_SEG
        probe   '44', 4400h, 0, 0, DRIVE
        call    show_count
        probe   '47', 4700h, 0, 0, DRIVE
        mov     eax, [total]
        packet  eax, 1, 0, BUFFER_SEG
        probe   '47 behind the end', 4700h, 0, 0, DRIVE
        cmp     dword [total], 10000020h
        jb      .no_lba48
        call    wipe
        packet  0FFFFFF0h, 32, 0, BUFFER_SEG
        probe   '42 across 2^28', 4200h, 0, 0, DRIVE
        call    show_count
        call    wipe
        packet  10000000h, 16, 0, BUFFER_SEG
        probe   '42 from 2^28', 4200h, 0, 0, DRIVE
        call    show_count
.no_lba48:

; --- writes: what sectors 100 and up hold goes to other places
        packet  100, 127, 0, BUFFER_SEG
        probe   'source', 4200h, 0, 0, DRIVE
        probe   '03 64 KiB', 0380h, 0, 0101h, 0200h + DRIVE
        packet  2000, 127, 0, BUFFER_SEG
        probe   '43', 4300h, 0, 0, DRIVE
        call    show_count
        packet  3000, 90, 0FFF1h, BUFFER_SEG - 0FFFh
        probe   '43, odd buffer', 4300h, 0, 0, DRIVE
        packet  3500, 5, 0, BUFFER_SEG
        probe   '43 with verify', 4302h, 0, 0, DRIVE
        mov     eax, [total]
        sub     eax, 127
        packet  eax, 127, 0, BUFFER_SEG
        probe   '43 end', 4300h, 0, 0, DRIVE
        packet  [total], 1, 0, BUFFER_SEG
        probe   '43 behind the end', 4300h, 0, 0, DRIVE
        text    'finished'
        call    newline
        mov     dx, 0F4h
        mov     al, 1
        out     dx, al
        hlt

; ---------------------------------------------------------------------------------------------------------

do_probe:
        pop     bp                      ; the name behind the call
        mov     [name], bp
        mov     es, [buffer_seg]
        mov     si, dap
        int     13h
        push    cs
        pop     ds
        mov     [result.ax], ax
        mov     [result.bx], bx
        mov     [result.cx], cx
        mov     [result.dx], dx
        setc    byte [result.carry]
        mov     ax, 40h
        mov     es, ax
        mov     al, [es:74h]
        mov     [result.status], al
        mov     si, [name]
        call    print_at_si
        push    si
        mov     si, result
        mov     cx, 4
.word:  mov     al, ' '
        out     0E9h, al
        lodsw
        call    hex_word
        loop    .word
        mov     cx, 2
.byte:  mov     al, ' '
        out     0E9h, al
        lodsb
        call    hex_byte
        loop    .byte
        call    newline
        ret                             ; to the end of the name

print_inline:
        pop     si
        call    print_at_si
        jmp     si
print_at_si:
        lodsb
        test    al, al
        jz      .end
        out     0E9h, al
        jmp     print_at_si
.end:   ret

parameters:
        mov     ax, ds
        mov     es, ax
        mov     di, edd + 2
        mov     cx, 100
        mov     al, FILL
        rep     stosb
        mov     ah, 48h
        mov     dl, DRIVE
        mov     si, edd
        int     13h
        ret

dump_edd:
        push    ds
        pop     es
        mov     si, edd
dump:
        mov     al, ' '
        out     0E9h, al
.byte:  es lodsb
        call    hex_byte
        loop    .byte
newline:
        mov     al, 10
        out     0E9h, al
        ret

hex_word:
        xchg    al, ah
        call    hex_byte
        xchg    al, ah
hex_byte:
        push    ax
        shr     al, 4
        call    .digit
        pop     ax
        push    ax
        and     al, 0Fh
        call    .digit
        pop     ax
        ret
.digit: cmp     al, 10
        jb      .show
        add     al, 'A' - '0' - 10
.show:  add     al, '0'
        out     0E9h, al
        ret

; The packet's count as the BIOS left it, and the checksum of the buffer.
show_count:
        mov     si, [name]
        call    print_at_si
        text    ' count '
        mov     ax, [dap.count]
        call    hex_word
        call    newline
; A checksum of all 256 KiB from BUFFER_SEG - 1000h on, which depends on where each byte lies.
sum:
        push    ds
        mov     dx, BUFFER_SEG - 1000h
        xor     ebx, ebx
.segment:
        mov     ds, dx
        xor     si, si
        mov     cx, 4000h
.dword: lodsd
        rol     ebx, 5
        add     ebx, eax
        loop    .dword
        add     dh, 10h
        cmp     dx, BUFFER_SEG + 3000h
        jb      .segment
        pop     ds
        mov     si, [name]
        call    print_at_si
        text    ' sum '
        mov     eax, ebx
        shr     eax, 16
        call    hex_word
        mov     ax, bx
        call    hex_word
        jmp     newline

wipe:
        pusha
        push    es
        mov     dx, BUFFER_SEG - 1000h
.segment:
        mov     es, dx
        xor     di, di
        mov     cx, 8000h
        mov     ax, FILL * 101h
        rep     stosw
        add     dh, 10h
        cmp     dx, BUFFER_SEG + 3000h
        jb      .segment
        pop     es
        popa
        ret

        align   4, db 0
buffer_seg dw      0
name    dw      0
last_cx dw      0
last_dx dw      0
total   dd      0
result:
.ax     dw      0
.bx     dw      0
.cx     dw      0
.dx     dw      0
.carry  db      0
.status db      0
        align   4, db 0
dap:    db      10h, 0
.count  dw      0
.offset dw      0
.segment dw     0
.lba    dq      0
.flat   dq      0
edd:    times   204 db 0

        times   512 * (1 + PROGRAM_SECTORS) - ($ - $$) db 0
