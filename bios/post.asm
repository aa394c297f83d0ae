; Power-on start: from the first instruction after a reset to INT 19h.
;
; There is no memory test and no wait for a key: pcemu's RAM does not fail, and the user is waiting.

; ---------------------------------------------------------------------------------------------------------
; After a reset. The CMOS shutdown byte tells a program that left protected mode from a cold or warm start.
; ---------------------------------------------------------------------------------------------------------
post:
        cli
        cld
        mov     al, CMOS_SHUTDOWN | CMOS_NMI_OFF
        out     CMOS_INDEX, al
        in      al, CMOS_DATA
        mov     bl, al
        mov     al, CMOS_SHUTDOWN | CMOS_NMI_OFF
        out     CMOS_INDEX, al
        mov     al, SHUTDOWN_NORMAL     ; the reason counts once
        out     CMOS_DATA, al
        mov     al, CMOS_STATUS_D       ; NMI on
        out     CMOS_INDEX, al
        in      al, CMOS_DATA

        load_seg_no_stack ds, BDA_SEG
        cmp     bl, SHUTDOWN_JUMP_EOI
        je      resume_jump_eoi
        cmp     bl, SHUTDOWN_JUMP
        je      resume_jump
        cmp     bl, SHUTDOWN_BLOCK_MOVE
        je      resume_block_move
        cmp     bl, SHUTDOWN_IRET
        je      resume_iret
        cmp     bl, SHUTDOWN_RETF
        je      resume_retf
        jmp     power_on

resume_jump_eoi:
        mov     al, PIC_EOI
        out     PIC2_COMMAND, al
        out     PIC1_COMMAND, al
resume_jump:
        jmp     far [BDA_RESUME]

resume_block_move:
        lss     sp, [BDA_RESUME]
        pop     ds
        pop     es
        popa
        iret

resume_iret:
        lss     sp, [BDA_RESUME]
        iret

resume_retf:
        lss     sp, [BDA_RESUME]
        retf

; ---------------------------------------------------------------------------------------------------------
; A cold start, or a warm one (Ctrl-Alt-Del): both set up everything.
; ---------------------------------------------------------------------------------------------------------
power_on:
        xor     ax, ax
        mov     ss, ax
        mov     esp, BOOT_OFFSET        ; free memory below the boot sector
        call    init_chips
        call    init_data_areas
        call    init_vectors
        call    poll_calibrate
        call    enable_irqs
        call    init_memory_size
        call    init_equipment
        call    keyboard_init
        call    a20_off                 ; as programs for the 8086 expect it
        call    video_init
        call    init_clock
        call    disk_init
        call    show_banner
        int     19h
        ; INT 19h does not return.

; Interrupt controllers, timer, FPU and RTC.
init_chips:
        mov     al, PIC_ICW1
        out     PIC1_COMMAND, al
        out     PIC2_COMMAND, al
        mov     al, PIC1_VECTOR
        out     PIC1_DATA, al
        mov     al, PIC2_VECTOR
        out     PIC2_DATA, al
        mov     al, 1 << PIC_CASCADE_IRQ
        out     PIC1_DATA, al
        mov     al, PIC_CASCADE_IRQ
        out     PIC2_DATA, al
        mov     al, PIC_ICW4
        out     PIC1_DATA, al
        out     PIC2_DATA, al
        mov     al, 0FFh                ; nothing yet
        out     PIC1_DATA, al
        out     PIC2_DATA, al

        mov     al, PIT_CH0_MODE3       ; 65 536 counts: 18.2 Hz
        out     PIT_CONTROL, al
        xor     al, al
        out     PIT_CHANNEL0, al
        out     PIT_CHANNEL0, al
        mov     al, PIT_CH1_MODE2       ; memory refresh, every 15 µs
        out     PIT_CONTROL, al
        mov     al, 18
        out     PIT_CHANNEL1, al
        xor     al, al                  ; speaker off, NMI sources on
        out     PORT_B, al

        fninit
        xor     al, al
        out     FPU_CLEAR_BUSY, al

        mov     ax, CMOS_STATUS_A | RTC_A_DEFAULT << 8
        call    cmos_write
        mov     ax, CMOS_STATUS_B | RTC_B_24H << 8
        call    cmos_write
        mov     al, CMOS_STATUS_C       ; reading it withdraws a pending IRQ 8
        jmp     cmos_read

enable_irqs:
        mov     al, ~PIC1_ENABLED & 0FFh
        out     PIC1_DATA, al
        mov     al, ~PIC2_ENABLED & 0FFh
        out     PIC2_DATA, al
        sti
        ret

PIC1_ENABLED    equ 00000111b           ; timer, keyboard, cascade
PIC2_ENABLED    equ 11100001b           ; RTC, FPU, both ATA channels

; Clear the BIOS data areas and give their fields the values of a fresh machine.
init_data_areas:
        load_seg ds, BDA_SEG
        mov     dx, [BDA_RESET_FLAG]
        load_seg es, BDA_SEG
        xor     ax, ax
        xor     di, di
        mov     cx, 102h / 2            ; with the print screen status at 0050:0000
        rep stosw
        mov     [BDA_RESET_FLAG], dx

        load_seg es, EBDA_SEG
        xor     di, di
        mov     cx, EBDA_KIB * 1024 / 2
        rep stosw
        mov     byte [es:EBDA_SIZE_KIB], EBDA_KIB

        mov     word [BDA_EBDA_SEG], EBDA_SEG
        mov     word [BDA_MEMORY_KIB], BASE_MEMORY_KIB
        mov     word [BDA_KBD_HEAD], BDA_KBD_BUFFER
        mov     word [BDA_KBD_TAIL], BDA_KBD_BUFFER
        mov     word [BDA_KBD_START], BDA_KBD_BUFFER
        mov     word [BDA_KBD_END], BDA_KBD_BUFFER_END
        mov     byte [BDA_KBD_FLAGS3], KF3_ENHANCED
        mov     dword [BDA_LPT_TIMEOUT], 14141414h      ; seconds
        mov     dword [BDA_COM_TIMEOUT], 01010101h
        ret

; The interrupt vectors, except those that video.asm and disk.asm set themselves.
init_vectors:
        load_seg ds, IVT_SEG
        load_seg es, IVT_SEG
        mov     eax, ROM_SEG << 16
        mov     ax, dummy_iret
        xor     di, di
        mov     cx, 60h                 ; 60h–6Fh are the programs' own: left at 0
        rep stosd
        xor     eax, eax
        mov     cx, 100h - 60h
        rep stosd

        mov     si, vector_table
.next:
        cs lodsw
        cmp     ax, -1
        je      .done
        mov     di, ax
        shl     di, 2
        cs lodsw
        stosw
        mov     ax, ROM_SEG
        stosw
        jmp     .next
.done:
        ret

vector_table:
        dw      00h, divide_error
        dw      02h, int02_handler
        dw      05h, int05_handler
        dw      06h, invalid_opcode
        dw      07h, no_fpu
        dw      08h, int08_handler
        dw      09h, int09_handler
        dw      0Ah, irq_master
        dw      0Bh, irq_master
        dw      0Ch, irq_master
        dw      0Dh, irq_master
        dw      0Eh, irq_master
        dw      0Fh, irq7_handler
        dw      10h, int10_handler
        dw      11h, int11_handler
        dw      12h, int12_handler
        dw      13h, int13_handler
        dw      14h, int14_handler
        dw      15h, int15_handler
        dw      16h, int16_handler
        dw      17h, int17_handler
        dw      18h, int18_handler
        dw      19h, int19_handler
        dw      1Ah, int1a_handler
        dw      1Eh, floppy_parameters
        dw      70h, int70_handler
        dw      71h, irq9_handler
        dw      72h, irq_slave
        dw      73h, irq_slave
        dw      74h, irq_slave
        dw      75h, irq13_handler
        dw      76h, irq_slave
        dw      77h, irq15_handler
        dw      -1

; Memory above 1 MiB, from what the machine has written into the CMOS.
init_memory_size:
        mov     al, CMOS_EXT16_LOW      ; 64 KiB units above 16 MiB
        call    cmos_read_word
        movzx   edx, ax
        shl     edx, 6
        jz      .small
        add     edx, 15 * 1024
        jmp     .store
.small:
        mov     al, CMOS_EXT2_LOW
        call    cmos_read_word
        movzx   edx, ax
        test    ax, ax
        jnz     .store
        mov     al, CMOS_EXT_LOW
        call    cmos_read_word
        movzx   edx, ax
.store:
        load_seg es, EBDA_SEG
        mov     [es:EBDA_EXT_KIB], edx
        ret

; Find serial ports, printer ports and the FPU; build INT 11h's equipment word.
init_equipment:
        load_seg ds, BDA_SEG
        mov     bx, EQUIP_VIDEO_80_COLOUR

        mov     si, com_ports
        mov     di, BDA_COM_PORTS
        mov     cx, 4
.next_com:
        cs lodsw
        mov     dx, ax
        call    probe_com
        jne     .no_com
        mov     [di], dx
        add     di, 2
        add     bx, 1 << EQUIP_COM_SHIFT
.no_com:
        loop    .next_com

        mov     si, lpt_ports
        mov     di, BDA_LPT_PORTS
        mov     cx, 3
.next_lpt:
        cs lodsw
        mov     dx, ax
        call    probe_lpt
        jne     .no_lpt
        mov     [di], dx
        add     di, 2
        add     bx, 1 << EQUIP_LPT_SHIFT
.no_lpt:
        loop    .next_lpt

        push    word -1                 ; an FPU overwrites it with its status, 0 after FNINIT
        mov     bp, sp
        fnstsw  [bp]
        pop     ax
        test    ax, ax
        jnz     .no_fpu
        or      bx, EQUIP_FPU
.no_fpu:
        mov     [BDA_EQUIPMENT], bx
        ret

com_ports:
        dw      COM1_BASE, COM2_BASE, COM3_BASE, COM4_BASE
lpt_ports:
        dw      LPT3_BASE, LPT1_BASE, LPT2_BASE

; ZF = a UART answers at DX.
probe_com:
        push    dx
        add     dx, UART_IIR
        xor     al, al                  ; FIFOs off, so that the identification's upper bits read 0
        out     dx, al
        in      al, dx
        test    al, 0F8h                ; an empty slot reads FFh
        jnz     .done
        dec     dx                      ; UART_IER: no interrupts
        xor     al, al
        out     dx, al
        cmp     al, al
.done:
        pop     dx
        ret

; ZF = a printer port's data latch answers at DX.
probe_lpt:
        mov     al, 0AAh
        out     dx, al
        in      al, dx
        cmp     al, 0AAh
        ret

; The tick count for the time of day: seconds since midnight * 1 193 182 Hz / 65 536.
init_clock:
        mov     al, CMOS_HOURS
        call    cmos_read_bcd
        imul    ebx, eax, 3600
        mov     al, CMOS_MINUTES
        call    cmos_read_bcd
        imul    eax, eax, 60
        add     ebx, eax
        mov     al, CMOS_SECONDS
        call    cmos_read_bcd
        add     eax, ebx
        mov     ebx, PIT_HZ
        mul     ebx
        shrd    eax, edx, 16
        cmp     eax, TICKS_PER_DAY      ; an RTC that was never set may hold anything
        jb      .valid
        xor     eax, eax
.valid:
        load_seg ds, BDA_SEG
        mov     [BDA_TICKS], eax
        ret

; One line about the firmware and the memory, one line for each disk.
show_banner:
        print   'pcemu BIOS', 13, 10
        movzx   eax, word [BDA_MEMORY_KIB]
        call    print_decimal
        print   ' KiB base memory, '
        load_seg es, EBDA_SEG
        mov     eax, [es:EBDA_EXT_KIB]
        call    print_decimal
        print   ' KiB extended memory', 13, 10

        mov     dl, 80h
        movzx   cx, byte [BDA_DISK_COUNT]
        jcxz    .no_disk
.next_disk:
        push    cx
        push    dx
        mov     ah, 15h                 ; CX:DX = sectors
        int     13h
        movzx   eax, cx
        shl     eax, 16
        mov     ax, dx
        pop     dx
        pop     cx
        shr     eax, 11                 ; sectors -> MiB
        print   'Hard disk '
        push    ax
        mov     al, dl
        call    print_hex8
        pop     ax
        print   'h: '
        call    print_decimal
        print   ' MiB', 13, 10
        inc     dx
        loop    .next_disk
        print   13, 10
        ret
.no_disk:
        print   'No hard disk', 13, 10, 13, 10
        ret
