; INT 10h: power-on set-up and mode set (function 00h); the VGA's ports.

VGA_ATTRIBUTE           equ 3C0h        ; index and data in turns; reading status register 1 makes the index next
VGA_ATTRIBUTE_READ      equ 3C1h
VGA_MISC_WRITE          equ 3C2h
VGA_ENABLE              equ 3C3h
VGA_SEQUENCER           equ 3C4h
VGA_PEL_MASK            equ 3C6h
VGA_DAC_READ_INDEX      equ 3C7h
VGA_DAC_WRITE_INDEX     equ 3C8h
VGA_DAC_DATA            equ 3C9h
VGA_MISC_READ           equ 3CCh
VGA_GRAPHICS            equ 3CEh

MISC_COLOUR             equ 01h         ; CRTC at 3D4h, else at 3B4h
MISC_RAM_ENABLE         equ 02h
SEQ_RESET               equ 0
SEQ_RESET_SYNC          equ 01h
SEQ_RESET_OFF           equ 03h
ATTRIBUTE_MODE          equ 10h
ATTRIBUTE_MODE_BLINK    equ 08h
ATTRIBUTE_MODE_P54      equ 80h         ; pages of 16 colours instead of 64
ATTRIBUTE_BORDER        equ 11h
ATTRIBUTE_COLOUR_SELECT equ 14h
ATTRIBUTE_SCREEN_ON     equ 20h         ; in the index: the palette belongs to the display again

CRTC_PORT_COLOUR        equ 3D4h
CRTC_PORT_MONO          equ 3B4h
MODE_NO_CLEAR           equ 80h         ; in the mode number
MODE_CGA_TWO_COLOURS    equ 06h
MODE_FIRST_EGA          equ 0Dh
MODE_256_COLOURS        equ 13h
GRAPHICS_SEG            equ 0A000h
CURSOR_SHAPE_CGA        equ 0607h
CGA_PALETTE_DEFAULT     equ 30h
CGA_PALETTE_MODE6       equ 3Fh
CGA_MODE_BLINK          equ 20h

; ---------------------------------------------------------------------------------------------------------
; Power-on set-up: vectors, BDA, mode 3. Called once by POST. Clobbers all registers.
; ---------------------------------------------------------------------------------------------------------
video_init:
        load_seg ds, IVT_SEG
        vector  10h, int10_handler
        vector  42h, int10_handler      ; where an EGA keeps the handler that it replaced
        vector  1Dh, crt_parameters
        vector  1Fh, font_8x8_high
        vector  43h, font_8x16
        load_seg ds, BDA_SEG
        and     word [BDA_EQUIPMENT], ~EQUIP_VIDEO_MASK & 0FFFFh
        or      word [BDA_EQUIPMENT], EQUIP_VIDEO_80_COLOUR
        mov     byte [BDA_VIDEO_CONTROL], CONTROL_MEMORY_256K
        mov     byte [BDA_VIDEO_SWITCHES], SWITCHES_DEFAULT
        mov     byte [BDA_VIDEO_FLAGS], FLAGS_VGA_ACTIVE | FLAGS_400_LINES | FLAGS_DISPLAY_SWITCH
        mov     byte [BDA_VIDEO_DCC], COMBINATION_VGA_COLOUR
        mov     word [BDA_VIDEO_SAVE_PTR], video_save_pointers
        mov     word [BDA_VIDEO_SAVE_PTR + 2], ROM_SEG
        mov     byte [BDA_BELL_TICKS], 0
        mov     dx, VGA_ENABLE
        mov     al, 1
        out     dx, al
        mov     ax, MODE_LAST_COLOUR_TEXT
        int     10h
        ret

; ---------------------------------------------------------------------------------------------------------
; 00h: AL = mode, bit 7: keep the memory -> AL = 20h, 30h or 3Fh, the mode's kind as later BIOSes tell it
; ---------------------------------------------------------------------------------------------------------
video_set_mode:
        mov     ch, al
        and     al, ~MODE_NO_CLEAR & 0FFh
        call    mode_block
        jc      video_ignored
        and     ch, MODE_NO_CLEAR       ; CH = flag, CL = mode, SI = block in the parameter table
        mov     cl, al
        mov     ah, 20h
        cmp     al, 7
        ja      .kind_known
        mov     ah, 30h
        cmp     al, MODE_CGA_TWO_COLOURS
        jne     .kind_known
        mov     ah, 3Fh
.kind_known:
        mov     [bp + FRAME_AL], ah

        load_seg es, ROM_SEG
        push    cx
        call    program_registers
        mov     ax, ATTRIBUTE_COLOUR_SELECT
        call    write_attribute
        pop     cx
        call    load_default_palette
        call    mode_to_bda
        call    mode_font
        test    byte [BDA_VIDEO_CONTROL], CONTROL_NOT_CLEARED
        jnz     .kept
        call    clear_memory
.kept:
        ret

; AL = mode -> SI = its block in the parameter table (in CS); CF set: there is no such mode. Clobbers BX.
mode_block:
        cmp     al, MODE_LAST
        ja      .unknown
        movzx   bx, al
        mov     si, mode_blocks_high - 8
        cmp     al, 8
        jae     .selected
        mov     si, mode_blocks_400
        test    byte [BDA_VIDEO_FLAGS], FLAGS_400_LINES
        jnz     .selected
        mov     si, mode_blocks_200
        test    byte [BDA_VIDEO_FLAGS], FLAGS_200_LINES
        jnz     .selected
        mov     si, mode_blocks_350
.selected:
        movzx   si, byte [cs:si + bx]
        cmp     si, NO_BLOCK
        je      .unknown
        imul    si, PARAM_SIZE
        add     si, video_parameters
        clc
        ret
.unknown:
        stc
        ret

; Write a block's registers. ES:SI -> block; DS = BDA_SEG, where BDA_CRTC_PORT is kept up to date.
; Clobbers AX, BX, CX, DX, DI.
program_registers:
        mov     dx, VGA_MISC_WRITE
        mov     al, [es:si + PARAM_MISC]
        out     dx, al
        mov     bx, CRTC_PORT_COLOUR
        test    al, MISC_COLOUR
        jnz     .colour
        mov     bx, CRTC_PORT_MONO
.colour:
        mov     [BDA_CRTC_PORT], bx

        mov     dx, VGA_SEQUENCER
        mov     ax, SEQ_RESET | SEQ_RESET_SYNC << 8
        out     dx, ax
        lea     di, [si + PARAM_SEQUENCER]
        mov     cx, SEQUENCER_REGISTERS
        mov     al, 1
        call    .write_indexed
        mov     ax, SEQ_RESET | SEQ_RESET_OFF << 8
        out     dx, ax

        mov     dx, bx
        mov     ax, CRTC_VSYNC_END      ; value 0: lift the protection of registers 0–7
        out     dx, ax
        lea     di, [si + PARAM_CRTC]
        mov     cx, CRTC_REGISTERS
        mov     al, 0
        call    .write_indexed

        mov     dx, VGA_GRAPHICS
        lea     di, [si + PARAM_GRAPHICS]
        mov     cx, GRAPHICS_REGISTERS
        mov     al, 0
        call    .write_indexed

        call    attribute_index_next
        lea     di, [si + PARAM_ATTRIBUTE]
        mov     cx, ATTRIBUTE_REGISTERS
        mov     ah, 0
.attribute:
        mov     al, ah
        out     dx, al
        mov     al, [es:di]
        out     dx, al
        inc     di
        inc     ah
        loop    .attribute
        mov     al, ATTRIBUTE_SCREEN_ON
        out     dx, al
        ret

; CX registers from number AL on: index port DX, values at ES:DI.
.write_indexed:
        mov     ah, [es:di]
        out     dx, ax
        inc     di
        inc     al
        loop    .write_indexed
        ret

; Fields of the BDA after a mode set. CS:SI -> block, CL = mode, CH = MODE_NO_CLEAR or 0.
; Clobbers AX, BX, DX, DI.
mode_to_bda:
        mov     [BDA_VIDEO_MODE], cl
        movzx   ax, byte [cs:si + PARAM_COLUMNS]
        mov     [BDA_VIDEO_COLUMNS], ax
        mov     al, [cs:si + PARAM_ROWS]
        mov     [BDA_VIDEO_ROWS], al
        mov     al, [cs:si + PARAM_CHAR_HEIGHT]
        mov     [BDA_CHAR_HEIGHT], ax
        mov     ax, [cs:si + PARAM_PAGE_SIZE]
        mov     [BDA_VIDEO_PAGE_SIZE], ax
        and     byte [BDA_VIDEO_CONTROL], ~CONTROL_NOT_CLEARED & 0FFh
        or      [BDA_VIDEO_CONTROL], ch
        xor     ax, ax
        mov     [BDA_VIDEO_PAGE_START], ax
        mov     [BDA_VIDEO_PAGE], al
        mov     bx, (VIDEO_PAGES - 1) * 2
.cursor:
        mov     [BDA_CURSOR_POS + bx], ax
        sub     bx, 2
        jns     .cursor
        movzx   bx, cl
        mov     al, CGA_PALETTE_DEFAULT
        cmp     cl, 7
        ja      .not_cga                ; the CGA's registers say nothing of later modes
        mov     ah, [cs:cga_mode_registers + bx]
        mov     [BDA_VIDEO_MODE_REG], ah
        cmp     cl, MODE_CGA_TWO_COLOURS
        jne     .not_cga
        mov     al, CGA_PALETTE_MODE6
.not_cga:
        mov     [BDA_VIDEO_PALETTE], al
        ret

; Load the mode's font into plane 2 (text), point INT 43h at it, and set the cursor's shape. CL = mode.
; Clobbers all registers but BP.
mode_font:
        mov     al, [BDA_CHAR_HEIGHT]
        call    rom_font
        push    ds
        load_seg ds, IVT_SEG
        mov     [43h * 4], si
        mov     word [43h * 4 + 2], ROM_SEG
        pop     ds
        call    text_segment
        jc      .graphics
        mov     bx, 0                   ; block 0
        call    load_rom_font
        test    byte [BDA_VIDEO_CONTROL], CONTROL_NO_EMULATION
        jnz     default_cursor_shape
        mov     word [BDA_CURSOR_SHAPE], CURSOR_SHAPE_CGA
        jmp     program_cursor_shape
.graphics:
        mov     word [BDA_CURSOR_SHAPE], 0
        ret

; Fill the memory of the mode in the BDA with blanks or with black. Clobbers AX, CX, DI, ES.
clear_memory:
        mov     cx, TEXT_MEMORY_SIZE / 4
        xor     di, di
        call    text_segment
        mov     eax, (07h << 8 | BLANK) * 10001h
        jnc     .fill
        xor     eax, eax
        cmp     byte [BDA_VIDEO_MODE], MODE_FIRST_EGA
        jb      .fill                   ; a CGA mode's memory lies where text does
        load_seg es, GRAPHICS_SEG
        mov     cx, 10000h / 4
.fill:
        rep stosd
        ret
