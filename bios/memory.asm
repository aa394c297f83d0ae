; INT 15h's memory functions: A20, block move, memory size and map, the switch to protected mode.

; ---------------------------------------------------------------------------------------------------------
; AH=24h: the A20 gate. AL=00h off, 01h on, 02h AL = state, 03h BX = ways to switch it
; ---------------------------------------------------------------------------------------------------------
A20_VIA_8042            equ 01h
A20_VIA_PORT_92         equ 02h

memory_a20:
        cmp     al, 3
        ja      system_unsupported
        je      .support
        cmp     al, 1
        je      .on
        ja      .state
        call    a20_off
        jmp     system_ok
.on:
        call    a20_on
        jmp     system_ok
.state:
        call    a20_get
        mov     [bp + FRAME_AL], al
        jmp     system_ok
.support:
        mov     word [bp + FRAME_BX], A20_VIA_8042 | A20_VIA_PORT_92
        jmp     system_ok

; AL = 1 when A20 is on, else 0. Two switches may feed the gate, so look at the memory: does 1 MiB wrap to 0?
A20_TEST                equ 04FEh       ; in the area that programs share, at 0000:04F0

a20_get:
        push    bx
        push    ds
        push    es
        pushf
        cli
        load_seg ds, 0
        load_seg es, 0FFFFh
        mov     bx, [A20_TEST]
        mov     al, 1
        cmp     bx, [es:A20_TEST + 10h]
        jne     .known
        not     word [A20_TEST]         ; equal by chance?
        cmp     bx, [es:A20_TEST + 10h]
        mov     [A20_TEST], bx
        je      .known
        xor     al, al
.known:
        popf
        pop     es
        pop     ds
        pop     bx
        ret

a20_on:
        in      al, PORT_A
        and     al, ~PORT_A_RESET & 0FFh
        or      al, PORT_A_A20
        out     PORT_A, al
        ret

a20_off:
        in      al, PORT_A
        and     al, ~(PORT_A_A20 | PORT_A_RESET) & 0FFh
        out     PORT_A, al
        call    a20_get
        test    al, al
        jz      .done
        mov     al, KBC_CMD_WRITE_OUTPUT        ; then it is the 8042 that holds it on
        call    kbc_command
        mov     al, KBC_OUTPUT_A20_OFF
        call    kbc_data
.done:
        ret

; ---------------------------------------------------------------------------------------------------------
; AH=87h: copy CX words with the descriptors that the caller has laid out at ES:SI
; ---------------------------------------------------------------------------------------------------------
MOVE_GDT                equ 08h         ; filled in here
MOVE_SOURCE             equ 10h         ; filled in by the caller
MOVE_DESTINATION        equ 18h         ; filled in by the caller
MOVE_CODE               equ 20h         ; filled in here
MOVE_STACK              equ 28h         ; filled in here
MOVE_GDT_SIZE           equ 30h
MOVE_WORDS_MAX          equ 8000h

DESCRIPTOR_CODE         equ 9Bh         ; present, readable code, accessed
DESCRIPTOR_DATA         equ 93h         ; present, writable data, accessed
CR0_PE                  equ 1

MOVE_ERROR_EXCEPTION    equ 02h

memory_block_move:
        smsw    ax
        test    al, CR0_PE              ; under a virtual 8086 monitor, which should have done this itself
        jnz     .refuse
        test    cx, cx
        jz      system_ok
        cmp     cx, MOVE_WORDS_MAX
        ja      .refuse

        cli
        call    a20_get
        push    ax                      ; its state, to be restored
        call    a20_on

        xor     eax, eax
        mov     ax, es
        shl     eax, 4
        movzx   ebx, si
        add     eax, ebx
        mov     di, MOVE_GDT
        call    set_data_descriptor
        xor     eax, eax
        mov     ax, ss
        shl     eax, 4
        mov     di, MOVE_STACK
        call    set_data_descriptor
        mov     eax, ROM_SEG << 4
        mov     di, MOVE_CODE
        call    set_data_descriptor
        mov     byte [es:si + MOVE_CODE + 5], DESCRIPTOR_CODE

        sub     sp, 6                   ; the caller's GDTR comes back afterwards
        mov     bx, sp
        o32 sgdt [ss:bx]
        mov     word [es:si + MOVE_GDT], MOVE_GDT_SIZE - 1
        lgdt    [es:si + MOVE_GDT]      ; limit and base lie in a descriptor as LGDT wants them
        mov     bx, ss

        mov     eax, cr0
        or      al, CR0_PE
        mov     cr0, eax
        jmp     MOVE_CODE:.protected
.protected:
        mov     ax, MOVE_SOURCE
        mov     ds, ax
        mov     ax, MOVE_DESTINATION
        mov     es, ax
        mov     ax, MOVE_STACK
        mov     ss, ax
        xor     si, si
        xor     di, di
        shr     cx, 1
        rep movsd
        adc     cx, cx                  ; CX was 0: 1 when a word is left over
        rep movsw
        mov     ax, MOVE_STACK          ; limits of 64 KiB, as real mode needs them
        mov     ds, ax
        mov     es, ax
        mov     eax, cr0
        and     al, ~CR0_PE & 0FFh
        mov     cr0, eax
        jmp     ROM_SEG:.real
.real:
        mov     ss, bx
        mov     bx, sp
        o32 lgdt [ss:bx]
        add     sp, 6
        pop     ax
        test    al, al
        jnz     system_ok
        call    a20_off
        jmp     system_ok

.refuse:
        mov     byte [bp + FRAME_AH], MOVE_ERROR_EXCEPTION
        cf_set
        ret

; Make the descriptor at ES:SI + DI a data segment of 64 KiB at the linear address EAX.
set_data_descriptor:
        add     di, si
        mov     word [es:di], 0FFFFh
        mov     [es:di + 2], eax        ; base 0–23; its upper byte is overwritten by the access byte
        mov     byte [es:di + 5], DESCRIPTOR_DATA
        mov     word [es:di + 6], 0
        ret

; ---------------------------------------------------------------------------------------------------------
; AH=88h: AX = KiB above 1 MiB, at most 63 MiB
; ---------------------------------------------------------------------------------------------------------
EXTENDED_SIZE_MAX       equ 63 * 1024

memory_extended_size:
        call    load_extended_kib
        cmp     eax, EXTENDED_SIZE_MAX
        jbe     .store
        mov     ax, EXTENDED_SIZE_MAX
.store:
        mov     [bp + FRAME_AX], ax
        ret

; EAX = KiB above 1 MiB. DS = BDA; ES is lost.
load_extended_kib:
        mov     es, [BDA_EBDA_SEG]
        mov     eax, [es:EBDA_EXT_KIB]
        ret

; ---------------------------------------------------------------------------------------------------------
; AH=89h: go on behind the INT in protected mode, with the eight descriptors that the caller has laid out at ES:SI.
; BH, BL = vectors of IRQ 0 and IRQ 8. Interrupts stay off, and all IRQs are masked.
; ---------------------------------------------------------------------------------------------------------
SWITCH_GDT              equ 08h
SWITCH_IDT              equ 10h
SWITCH_DS               equ 18h
SWITCH_ES               equ 20h
SWITCH_SS               equ 28h
SWITCH_CS               equ 30h
SWITCH_BIOS             equ 38h         ; filled in here

memory_protected_mode:
        smsw    ax
        test    al, CR0_PE
        jnz     system_unsupported
        cli
        call    a20_on

        mov     al, PIC_ICW1
        out     PIC1_COMMAND, al
        out     PIC2_COMMAND, al
        mov     al, bh
        out     PIC1_DATA, al
        mov     al, bl
        out     PIC2_DATA, al
        mov     al, 1 << PIC_CASCADE_IRQ
        out     PIC1_DATA, al
        mov     al, PIC_CASCADE_IRQ
        out     PIC2_DATA, al
        mov     al, PIC_ICW4
        out     PIC1_DATA, al
        out     PIC2_DATA, al
        mov     al, 0FFh
        out     PIC1_DATA, al
        out     PIC2_DATA, al

        mov     eax, ROM_SEG << 4
        mov     di, SWITCH_BIOS
        call    set_data_descriptor
        mov     byte [es:si + SWITCH_BIOS + 5], DESCRIPTOR_CODE
        mov     byte [bp + FRAME_AH], 0
        lgdt    [es:si + SWITCH_GDT]
        lidt    [es:si + SWITCH_IDT]
        mov     eax, cr0
        or      al, CR0_PE
        mov     cr0, eax
        jmp     SWITCH_BIOS:.protected
.protected:
        mov     ax, SWITCH_SS
        mov     ss, ax
        mov     ax, SWITCH_DS
        mov     ds, ax
        mov     ax, SWITCH_ES
        mov     es, ax
        mov     sp, bp
        add     sp, 4                   ; the frame's DS and ES are real-mode segments
        popad
        pop     bp                      ; return address; documented: BP is lost
        add     sp, 4                   ; CS and flags
        push    word SWITCH_CS
        push    bp
        clc
        retf

; ---------------------------------------------------------------------------------------------------------
; AH=E8h: AL=01h memory size, AL=20h one entry of the memory map
; ---------------------------------------------------------------------------------------------------------
SMAP                    equ 534D4150h
MAP_RAM                 equ 1
MAP_RESERVED            equ 2
MAP_ENTRY_SIZE          equ 20
MAP_FIXED_ENTRIES       equ 3           ; before the RAM above 1 MiB

memory_map:
        cmp     al, 20h
        je      map_entry
        cmp     al, 01h
        jne     system_unsupported

; AX = CX = KiB between 1 and 16 MiB, BX = DX = 64 KiB units above 16 MiB.
        call    load_extended_kib
        xor     ebx, ebx
        cmp     eax, 15 * 1024
        jbe     .below_16m
        lea     ebx, [eax - 15 * 1024]
        shr     ebx, 6
        mov     eax, 15 * 1024
.below_16m:
        mov     [bp + FRAME_AX], ax
        mov     [bp + FRAME_CX], ax
        mov     [bp + FRAME_BX], bx
        mov     [bp + FRAME_DX], bx
        ret

; EBX = entry number (0 first), ECX = room at ES:DI, EDX = 'SMAP'. Result: the entry at ES:DI,
; EAX = 'SMAP', ECX = its size, EBX = the next entry's number or 0 after the last.
map_entry:
        cmp     edx, SMAP
        jne     system_unsupported
        cmp     ecx, MAP_ENTRY_SIZE
        jb      system_unsupported
        cmp     ebx, MAP_FIXED_ENTRIES
        ja      system_unsupported
        push    es
        call    load_extended_kib
        pop     es
        shl     eax, 10                 ; KiB -> bytes
        mov     esi, eax
        mov     di, [bp + FRAME_DI]
        cmp     bx, MAP_FIXED_ENTRIES
        jb      .fixed
        test    esi, esi
        jz      system_unsupported
        mov     eax, 100000h
        mov     edx, esi
        mov     ecx, MAP_RAM
        jmp     .store
.fixed:
        push    si
        imul    si, bx, 9
        mov     eax, [cs:map_fixed + si]
        mov     edx, [cs:map_fixed + si + 4]
        movzx   ecx, byte [cs:map_fixed + si + 8]
        pop     si
.store:
        mov     [es:di], eax
        mov     dword [es:di + 4], 0
        mov     [es:di + 8], edx
        mov     dword [es:di + 12], 0
        mov     [es:di + 16], ecx

        mov     cx, MAP_FIXED_ENTRIES - 1       ; number of the last entry
        test    esi, esi
        jz      .last_known
        inc     cx
.last_known:
        inc     bx
        cmp     bx, cx
        jbe     .more
        xor     bx, bx
.more:
        movzx   ebx, bx
        mov     [bp + FRAME_BX], ebx
        mov     dword [bp + FRAME_CX], MAP_ENTRY_SIZE
        mov     dword [bp + FRAME_AX], SMAP
        ret

map_fixed:                              ; start, length, type
        dd      0, EBDA_SEG << 4
        db      MAP_RAM
        dd      EBDA_SEG << 4, EBDA_KIB << 10
        db      MAP_RESERVED
        dd      ROM_SEG << 4, 10000h
        db      MAP_RESERVED
