; Boot sector that carries out a list of operations (test_video.py writes it behind this program) and sends what each
; one found to port E9h. It does not know what is expected: the same list runs on two BIOSes.
;
; An operation is a byte (OP_*) and its arguments; what it sends is fixed by the arguments:
;   OP_END                                          nothing; QEMU ends
;   OP_CALL   ax bx cx dx bp di es (words)          INT 10h: EAX EBX ECX EDX ESI EDI EBP (dwords), DS ES (words),
;                                                   BDA 49h–66h, BDA 84h–8Ah
;   OP_DUMP   segment offset length                 the bytes
;   OP_INDEX  port first count                      count registers behind an index port
;   OP_IN     port                                  one byte
;   OP_OUT    port value                            nothing; the word goes to port and port + 1
;   OP_POKE   segment offset length, bytes          nothing
;   OP_WAIT   ticks                                 nothing; so many timer interrupts pass

        bits    16
        cpu     486
        org     7C00h

OP_END          equ 0
OP_CALL         equ 1
OP_DUMP         equ 2
OP_INDEX        equ 3
OP_IN           equ 4
OP_OUT          equ 5
OP_POKE         equ 6
OP_WAIT         equ 7
UPPER           equ 0A5C30000h          ; in the upper half of each register: an INT 10h must keep it
DEBUG_PORT      equ 0E9h
DEBUG_EXIT      equ 0F4h
PROGRAM_SECTORS equ 60

start:
        cli
        cld
        xor     ax, ax
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     sp, start
        sti
        mov     ax, 0200h | PROGRAM_SECTORS
        mov     bx, operations
        mov     cx, 2
        mov     dh, 0
        int     13h
        jnc     .loaded
        mov     al, 2                   ; not the exit code that the test wants
        out     DEBUG_EXIT, al
.loaded:
        mov     si, operations
next:
        xor     bx, bx
        mov     ds, bx
        cld
        lodsb
        mov     bl, al
        add     bx, bx
        jmp     [handlers + bx]
handlers:
        dw      op_end, op_call, op_dump, op_index, op_in, op_out, op_poke, op_wait

op_end:
        mov     al, 1
        out     DEBUG_EXIT, al
        jmp     $                       ; where there is no such port

op_call:
        mov     bp, si
        add     si, 14
        push    si
        mov     eax, UPPER
        mov     ebx, eax
        mov     ecx, eax
        mov     edx, eax
        mov     esi, eax
        mov     edi, eax
        mov     ax, [bp]
        mov     bx, [bp + 2]
        mov     cx, [bp + 4]
        mov     dx, [bp + 6]
        mov     di, [bp + 10]
        mov     es, [bp + 12]
        movzx   ebp, word [bp + 8]
        or      ebp, UPPER
        int     10h
        mov     [cs:saved_bp], ebp
        push    es
        push    ds
        push    dword [cs:saved_bp]
        push    edi
        push    esi
        push    edx
        push    ecx
        push    ebx
        push    eax
        push    ss
        pop     ds
        mov     si, sp
        mov     cx, 7 * 4 + 4
        call    send
        mov     sp, si
        mov     si, 449h
        mov     cx, 30
        call    send
        mov     si, 484h
        mov     cx, 7
        call    send
        pop     si
        jmp     next

op_dump:
        lodsw
        mov     bx, ax
        lodsw
        mov     di, ax
        lodsw
        mov     cx, ax
        push    si
        mov     si, di
        mov     ds, bx
        call    send
        pop     si
        jmp     next

; Send CX bytes from DS:SI.
send:
        jcxz    .done
        mov     dx, DEBUG_PORT
        rep outsb
.done:
        ret

op_index:
        lodsw
        mov     dx, ax
        lodsw
        mov     bl, al
        lodsw
        mov     cx, ax
.register:
        mov     al, bl
        out     dx, al
        inc     dx
        in      al, dx
        dec     dx
        out     DEBUG_PORT, al
        inc     bl
        loop    .register
        jmp     next

op_in:
        lodsw
        mov     dx, ax
        in      al, dx
        out     DEBUG_PORT, al
        jmp     next

op_out:
        lodsw
        mov     dx, ax
        lodsw
        out     dx, ax
        jmp     next

op_poke:
        lodsw
        mov     es, ax
        lodsw
        mov     di, ax
        lodsw
        mov     cx, ax
        rep movsb
        jmp     next

op_wait:
        lodsw
        add     ax, [46Ch]              ; the BIOS counts ticks there
.not_yet:
        cmp     ax, [46Ch]
        jne     .not_yet
        jmp     next

saved_bp        dd 0

        times 510 - ($ - $$) db 0
        dw      0AA55h
operations:
