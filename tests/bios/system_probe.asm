; A guest that calls INT 11h, 12h, 14h, 15h, 17h and 1Ah in many ways. Lines that begin with ~ hold what
; BIOSes may answer differently; the test looks at ours alone there. OURS is defined for our BIOS and adds a call
; that the other one does not survive.

%include "probe.inc"

buffer          equ 700h                ; free memory
MOVE_BUFFER     equ 10000h              ; linear addresses
MOVE_BACK       equ 20000h
MOVE_HIGH       equ 00100000h           ; 1 MiB
MOVE_HIGHER     equ 00500000h           ; odd megabyte: reached only when A20 is on

main:
        text    'equipment:'             ; what both machines have alike
        int     11h
        and     ax, 0FE32h
        call    print_ax
        call    newline
        text    'base memory:'
        int     12h
        call    print_ax
        call    newline

; --- memory size and map
        call_int '88', 15h, 8800h, 1, 2, 3
        call_int 'E801', 15h, 0E801h, 0, 0, 0
        text    '~E820:'
        xor     ebx, ebx
        mov     di, buffer
.next_entry:
        mov     eax, 0E820h
        mov     ecx, 20
        mov     edx, 534D4150h
        int     15h
        jc      .map_end
        call    print_eax               ; 'SMAP'
        mov     eax, ecx
        call    print_eax
        mov     cx, 5
        mov     si, di
.next_word:
        lodsd
        call    print_eax
        loop    .next_word
        test    ebx, ebx
        jnz     .next_entry
.map_end:
        call    newline
        call_int '~E820 without SMAP', 15h, 0E820h, 0, 20, 0
        call_int '~E820 with little room', 15h, 0E820h, 0, 19, 534D4150h
        call_int '~E820 behind the end', 15h, 0E820h, 77, 20, 534D4150h

; --- configuration
        push    es
        call_int '~C0', 15h, 0C000h, 0, 0, 0
        text    '~table:'
        mov     cx, 10
.next_config:
        mov     al, [es:bx]
        call    print_al
        inc     bx
        loop    .next_config
        mov     ax, es
        call    print_ax
        call    newline
        call_int 'C1', 15h, 0C100h, 1, 2, 3
        text    'EBDA:'
        mov     ax, es
        call    print_ax
        mov     ax, [BDA + 0Eh]
        call    print_ax
        mov     al, [es:0]
        call    print_al
        call    newline
        pop     es

; --- A20
        call_int '2403', 15h, 2403h, 0, 0, 0
        call_int '2401', 15h, 2401h, 0, 0, 0
        call    show_a20
        call_int '2402 on', 15h, 2402h, 0, 0, 0
        call_int '2400', 15h, 2400h, 0, 0, 0
        call    show_a20
        call_int '2402 off', 15h, 2402h, 0, 0, 0
        call_int '2404', 15h, 2404h, 0, 0, 0

; --- block move, with A20 off and on
        call    move_round_trip
        call_int '2401 again', 15h, 2401h, 0, 0, 0
        call    move_round_trip
        mov     si, gdt
        call_int '87 nothing', 15h, 8700h, 0, 0, 0
        call_int '~87 too much', 15h, 8700h, 0, 8001h, 0

; --- what is not there, and what needs nothing done
        call_int '~53', 15h, 5300h, 0, 0, 0
        call_int '84', 15h, 8400h, 0, 0, 1
        call_int '~C2', 15h, 0C200h, 0100h, 0, 0
        call_int '77', 15h, 7700h, 0, 0, 0
        call_int '~80', 15h, 8000h, 0, 0, 0
        call_int '~85', 15h, 8500h, 0, 0, 0
        call_int '~90', 15h, 9000h, 0, 0, 0
        call_int '~91', 15h, 9100h, 0, 0, 0
        call_int '4F', 15h, 4F1Eh, 0, 0, 0

; --- waits: 330 ms are 6.008 ticks
        mov     cx, 1
        call    wait_ticks
        mov     si, [BDA + 6Ch]
        call_int '86', 15h, 8600h, 0, 330000 >> 16, 330000 & 0FFFFh
        call    show_ticks
        mov     cx, 1
        call    wait_ticks
        mov     si, [BDA + 6Ch]
        mov     byte [buffer], 55h
        call_int '83', 15h, 8300h, buffer, 330000 >> 16, 330000 & 0FFFFh
        call_int '~83 busy', 15h, 8300h, 0, 0, 1
        call_int '~86 busy', 15h, 8600h, 0, 0, 1
        mov     cx, 3                   ; the flag comes later
        call    wait_ticks
        text    'flag:'
        mov     ah, [buffer]
.not_yet:
        mov     al, [buffer]
        test    al, 80h
        jz      .not_yet
        call    print_ax
        call    newline
        call    show_ticks
        call_int '8300 to be cancelled', 15h, 8300h, buffer, 1, 0
        call_int '8301', 15h, 8301h, 0, 0, 0
        call_int '8300 afterwards', 15h, 8300h, buffer, 0, 1
        mov     cx, 2                   ; its flag must not fall into the next test
        call    wait_ticks
%ifdef OURS
        cli                             ; an interrupt handler of higher priority: no RTC interrupt can arrive
        push    dword [1Ch * 4]
        mov     dword [1Ch * 4], tick_waits
        mov     byte [buffer], 0
        sti
        text    '~86 inside INT 08h:'
.no_tick:
        hlt
        cmp     byte [buffer], 0
        je      .no_tick
        mov     al, [buffer]
        call    print_al
        call    newline
        pop     dword [1Ch * 4]
%endif

; --- ticks and RTC
        call_int '01', 1Ah, 0100h, 0, 0018h, 00AEh
        mov     cx, 4
        call    wait_ticks
        call_int '00 behind midnight', 1Ah, 0000h, 0, 0, 0
        call_int '00 again', 1Ah, 0000h, 0, 0, 0
        call_int '~03', 1Ah, 0300h, 0, 2359h, 5900h
        call_int '~05', 1Ah, 0500h, 0, 1999h, 1231h
        call_int '02', 1Ah, 0200h, 0, 0, 0
        call_int '04', 1Ah, 0400h, 0, 0, 0
        mov     word [4Ah * 4], alarm
        mov     word [4Ah * 4 + 2], 0
        mov     byte [buffer], 0
        call_int '~06', 1Ah, 0600h, 0, 0000h, 0000h
        call_int '~06 busy', 1Ah, 0600h, 0, 0000h, 0200h
        mov     cx, 28
        call    wait_ticks
        call_int '~02 behind midnight', 1Ah, 0200h, 0, 0, 0
        call_int '~04 behind midnight', 1Ah, 0400h, 0, 0, 0
        text    'alarms:'
        mov     al, [buffer]
        call    print_al
        call    newline
        call_int '~07', 1Ah, 0700h, 0, 0, 0
        call_int '~06 afterwards', 1Ah, 0600h, 0, 1200h, 0
        call_int '~07 again', 1Ah, 0700h, 0, 0, 0
        call_int '~B101', 1Ah, 0B101h, 0, 0, 0

; --- serial and printer ports
        call_int '1400', 14h, 00E3h, 0, 0, 0
        call_int '1403', 14h, 0300h, 0, 0, 0
        mov     si, greeting
.next_letter:
        lodsb
        test    al, al
        jz      .sent
        mov     ah, 01h
        xor     dx, dx
        int     14h
        jmp     .next_letter
.sent:
        call_int '~1402 nothing there', 14h, 0200h, 0, 0, 0
        call_int '~1404', 14h, 0400h, 0002h, 0308h, 0
        text    '~divisor:'
        mov     dx, 3FBh
        in      al, dx
        call    print_al
        or      al, 80h
        out     dx, al
        mov     dx, 3F8h
        in      ax, dx
        call    print_ax
        mov     dx, 3FBh
        in      al, dx
        and     al, 7Fh
        out     dx, al
        call    newline
        call_int '~1405 set', 14h, 0501h, 0003h, 0, 0
        call_int '~1405', 14h, 0500h, 0, 0, 0
        call_int '~1403 absent', 14h, 0300h, 0, 0, 3
        call_int '1701', 17h, 0100h, 0, 0, 0
        call_int '1702', 17h, 0200h, 0, 0, 0
        mov     si, greeting
.next_printed:
        lodsb
        test    al, al
        jz      .printed
        mov     ah, 00h
        xor     dx, dx
        int     17h
        jmp     .next_printed
.printed:
        call_int '~1702 absent', 17h, 0200h, 0, 0, 2
        jmp     finish

greeting:
        db      'Hello', 13, 10, 0

alarm:
        inc     byte [cs:buffer]
        iret

tick_waits:
        cmp     byte [cs:buffer], 0
        jne     .done
        pusha
        mov     ah, 86h
        xor     cx, cx
        mov     dx, 2000
        int     15h
        mov     byte [cs:buffer], 1
        popa
.done:
        iret

; Print how many ticks have passed since tick SI.
show_ticks:
        text    '~ticks in 330 ms:'
        mov     ax, [BDA + 6Ch]
        sub     ax, si
        call    print_ax
        call    newline
        ret

; Print whether 1 MiB is a mirror of 0.
show_a20:
        text    'wraps:'
        push    es
        mov     ax, 0FFFFh
        mov     es, ax
        mov     ax, [600h]
        not     ax
        mov     [es:610h], ax
        cmp     [600h], ax
        sete    al
        call    print_al
        call    newline
        pop     es
        ret

; Copy 32 KiB up to an odd megabyte, from there to another one, and back; compare; print what came back.
move_round_trip:
        mov     ax, MOVE_BUFFER >> 4
        mov     es, ax
        xor     di, di
        mov     cx, 4000h
.fill:
        mov     ax, di
        imul    ax, ax, 40503
        stosw
        loop    .fill
        mov     ax, MOVE_BACK >> 4
        mov     es, ax
        xor     ax, ax
        xor     di, di
        mov     cx, 4000h
        rep stosw
        push    ds
        pop     es
        mov     eax, MOVE_BUFFER
        mov     edx, MOVE_HIGH
        call    move
        mov     eax, MOVE_HIGH
        mov     edx, MOVE_HIGHER
        call    move
        mov     eax, MOVE_HIGHER
        mov     edx, MOVE_BACK
        call    move
        push    ds
        mov     ax, MOVE_BUFFER >> 4
        mov     ds, ax
        mov     ax, MOVE_BACK >> 4
        mov     es, ax
        xor     si, si
        xor     di, di
        mov     cx, 4001h               ; one more than was copied
        repe cmpsw
        pop     ds
        push    ds
        pop     es
        text    'words that came back:'
        mov     ax, 4000h
        sub     ax, cx
        call    print_ax
        call    newline
        jmp     show_a20

; Copy 3FFFh words from EAX to EDX: an odd number, so that one is left over for copiers of double words.
move:
        mov     [gdt + 12h], eax
        mov     byte [gdt + 15h], 93h
        mov     [gdt + 1Ah], edx
        mov     byte [gdt + 1Dh], 93h
        mov     si, gdt
        call_int '87', 15h, 8700h, 0, 3FFFh, 0
        ret

        align   8
gdt:
        dq      0, 0
        dw      0FFFFh, 0, 0, 0
        dw      0FFFFh, 0, 0, 0
        dq      0, 0
        times   (PROGRAM_SECTORS + 1) * 512 - ($ - $$) db 0
