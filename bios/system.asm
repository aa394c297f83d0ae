; INT 11h, INT 12h and INT 15h: what the machine has, and services that fit nowhere else.
; memory.asm holds INT 15h's memory functions, wait.asm its timers.

; INT 11h: AX = equipment.
int11_handler:
        push    ds
        load_seg ds, BDA_SEG
        mov     ax, [BDA_EQUIPMENT]
        pop     ds
        iret

; INT 12h: AX = KiB of base memory.
int12_handler:
        push    ds
        load_seg ds, BDA_SEG
        mov     ax, [BDA_MEMORY_KIB]
        pop     ds
        iret

; ---------------------------------------------------------------------------------------------------------
; INT 15h
; ---------------------------------------------------------------------------------------------------------
int15_handler:
        cmp     ah, 4Fh
        je      .keyboard_intercept
        int_enter
        load_seg ds, BDA_SEG
        cf_clear
        mov     si, int15_functions
.search:
        cmp     ah, [cs:si]
        je      .found
        add     si, 3
        cmp     si, int15_functions.end
        jb      .search
        call    system_unsupported
        int_leave
.found:
        mov     di, [cs:si + 1]
        mov     si, [bp + FRAME_SI]
        call    di
        int_leave

.keyboard_intercept:                    ; AH=4Fh: CF set = let the key through. Often called, so kept short.
        push    bp
        mov     bp, sp
        or      byte [bp + 6], FLAG_CF
        pop     bp
        iret

; Each function is called with the caller's registers except SI, DI, BP and DS: DS = BDA, BP = frame, SI as the caller's.
%macro function 2
        db      %1
        dw      %2
%endmacro

int15_functions:
        function 24h, memory_a20
        function 80h, system_ok         ; open device
        function 81h, system_ok         ; close device
        function 82h, system_ok         ; program terminates
        function 83h, system_event_wait
        function 85h, system_ok         ; SysReq pressed or released
        function 86h, system_wait
        function 87h, memory_block_move
        function 88h, memory_extended_size
        function 89h, memory_protected_mode
        function 90h, system_ok         ; a device is busy
        function 91h, system_ok         ; a device has finished
        function 0C0h, system_config
        function 0C1h, system_ebda
        function 0E8h, memory_map
.end:

system_ok:
        mov     byte [bp + FRAME_AH], 0
        ret

; Also the answer to 53h (APM), 84h (joystick) and C2h (mouse): the board has none of them.
system_unsupported:
        mov     byte [bp + FRAME_AH], 86h
        cf_set
        ret

; AH=C0h: ES:BX = configuration table.
system_config:
        mov     word [bp + FRAME_ES], ROM_SEG
        mov     word [bp + FRAME_BX], config_table
        jmp     system_ok

; AH=C1h: ES = segment of the extended BIOS data area.
system_ebda:
        mov     ax, [BDA_EBDA_SEG]
        mov     [bp + FRAME_ES], ax
        ret
