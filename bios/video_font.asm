; INT 10h AH=11h: the character generator. Fonts live in plane 2, 8 blocks of 8 KiB, 32 bytes per character.

SEQ_MAP_MASK            equ 2
SEQ_FONT_SELECT         equ 3
SEQ_MEMORY_MODE         equ 4
GRAPHICS_READ_MAP       equ 4
GRAPHICS_MODE           equ 5
GRAPHICS_MISC           equ 6
FONT_PLANE              equ 2
FONT_PLANE_MASK         equ 1 << FONT_PLANE
MEMORY_EXTENDED         equ 02h         ; more than 64 KiB
MEMORY_SEQUENTIAL       equ 04h         ; not odd/even: every address of the plane
TEXT_PLANES             equ 03h
GRAPHICS_MODE_ODD_EVEN  equ 10h
MISC_WINDOW_A000_64K    equ 04h         ; memory at A0000h, not odd/even
MISC_WINDOW_B800_TEXT   equ 0Eh
MISC_WINDOW_B000_TEXT   equ 0Ah
MISC_VERTICAL_SIZE      equ 0C0h        ; of the miscellaneous output: the sync polarities tell the number of lines
MISC_VERTICAL_350       equ 80h
SCAN_DOUBLE             equ 80h         ; in the maximum scan line register
SCAN_LINE_MASK          equ 1Fh
GLYPH_SLOT              equ 32
GLYPHS                  equ 256
PAGE_SIZE_UNIT          equ 800h

font_8x8_high           equ font_8x8 + 128 * 8
font_9_wide:                            ; characters that cells 9 dots wide draw otherwise: none
        db      0

video_font:
        mov     si, .subfunctions
        jmp     video_subfunction
.subfunctions:
        subfunction 00h, font_load_user
        subfunction 01h, font_load_8x14
        subfunction 02h, font_load_8x8
        subfunction 03h, font_select
        subfunction 04h, font_load_8x16
        subfunction 10h, font_activate_user
        subfunction 11h, font_activate_8x14
        subfunction 12h, font_activate_8x8
        subfunction 14h, font_activate_8x16
        subfunction 20h, font_graphics_high
        subfunction 21h, font_graphics_user
        subfunction 22h, font_graphics_8x14
        subfunction 23h, font_graphics_8x8
        subfunction 24h, font_graphics_8x16
        subfunction 30h, font_information
        subfunctions_end

; ---------------------------------------------------------------------------------------------------------
; Fonts of text modes
; ---------------------------------------------------------------------------------------------------------

; 1110h: as 1100h, and make the screen's rows as high as the characters. 1111h, 1112h, 1114h: the same for ROM fonts.
font_activate_user:
        push    bx
        call    font_load_user
        pop     bx
        mov     al, bh
        jmp     set_char_height
font_activate_8x14:
        call    font_load_8x14
        mov     al, 14
        jmp     set_char_height
font_activate_8x8:
        call    font_load_8x8
        mov     al, 8
        jmp     set_char_height
font_activate_8x16:
        call    font_load_8x16
        mov     al, 16
        jmp     set_char_height

; 1100h: ES:BP -> glyphs, CX = how many, DX = first character, BL = block, BH = bytes per glyph.
font_load_user:
        mov     si, [bp + FRAME_BP]
        push    ds
        push    es
        pop     ds
        call    load_glyphs
        pop     ds
        jmp     close_font_plane

; 1101h, 1102h, 1104h: BL = block.
font_load_8x14:
        mov     al, 14
        jmp     font_load_rom
font_load_8x8:
        mov     al, 8
        jmp     font_load_rom
font_load_8x16:
        mov     al, 16
font_load_rom:
        call    rom_font
; CS:SI -> a whole font of AL lines, BL = block. Clobbers all registers but BP and DS.
load_rom_font:
        push    ds
        load_seg ds, ROM_SEG
        mov     bh, al
        mov     cx, GLYPHS
        mov     dx, 0
        call    load_glyphs
        pop     ds
        jmp     close_font_plane

; AL = character height -> SI = the font of that height in the ROM; AL = its height.
rom_font:
        mov     si, font_8x16
        cmp     al, 16
        jae     .found
        mov     si, font_8x14
        cmp     al, 14
        jae     .found
        mov     si, font_8x8
.found:
        ret

; Copy CX glyphs of BH bytes from DS:SI to plane 2, from character DX of block BL on. The caller then closes the plane.
; Clobbers AX, BX, CX, DX, SI, DI, ES.
load_glyphs:
        jcxz    .done
        movzx   di, bl                  ; blocks 0–3 begin at 0, 16, 32, 48 KiB, blocks 4–7 8 KiB behind them
        and     di, 3
        shl     di, 14
        test    bl, 4
        jz      .block_found
        add     di, 2000h
.block_found:
        shl     dx, 5
        add     di, dx
        call    open_font_plane
        movzx   dx, bh
        mov     bx, GLYPH_SLOT
        sub     bx, dx                  ; unused bytes of a slot
.glyph:
        push    cx
        mov     cx, dx
        shr     cx, 2
        rep movsd
        mov     cl, dl
        and     cl, 3
        rep movsb
        add     di, bx
        pop     cx
        loop    .glyph
.done:
        ret

; Show plane 2, linear and alone, at A000:0000. ES = its segment. Clobbers AX, DX.
open_font_plane:
        mov     dx, VGA_SEQUENCER
        mov     ax, SEQ_MAP_MASK | FONT_PLANE_MASK << 8
        out     dx, ax
        mov     ax, SEQ_MEMORY_MODE | (MEMORY_EXTENDED | MEMORY_SEQUENTIAL) << 8
        out     dx, ax
        mov     dx, VGA_GRAPHICS
        mov     ax, GRAPHICS_READ_MAP | FONT_PLANE << 8
        out     dx, ax
        mov     ax, GRAPHICS_MODE
        out     dx, ax
        mov     ax, GRAPHICS_MISC | MISC_WINDOW_A000_64K << 8
        out     dx, ax
        load_seg es, GRAPHICS_SEG
        ret

; Text memory as usual again. DS = BDA_SEG. Clobbers AX, DX.
close_font_plane:
        mov     dx, VGA_SEQUENCER
        mov     ax, SEQ_MAP_MASK | TEXT_PLANES << 8
        out     dx, ax
        mov     ax, SEQ_MEMORY_MODE | MEMORY_EXTENDED << 8
        out     dx, ax
        mov     dx, VGA_GRAPHICS
        mov     ax, GRAPHICS_READ_MAP
        out     dx, ax
        mov     ax, GRAPHICS_MODE | GRAPHICS_MODE_ODD_EVEN << 8
        out     dx, ax
        mov     ax, GRAPHICS_MISC | MISC_WINDOW_B800_TEXT << 8
        cmp     byte [BDA_VIDEO_MODE], MODE_MONO_TEXT
        jne     .colour
        mov     ah, MISC_WINDOW_B000_TEXT
.colour:
        out     dx, ax
        ret

; 1103h: BL = the blocks that attribute bit 3 chooses between, as sequencer register 3 wants them.
font_select:
        mov     dx, VGA_SEQUENCER
        mov     ah, bl
        mov     al, SEQ_FONT_SELECT
        out     dx, ax
        ret

; Fill the screen with rows of AL scan lines: as many as the present number of lines holds. Clobbers all but BP, DS.
set_char_height:
        and     ax, SCAN_LINE_MASK | GLYPH_SLOT
        jz      .done
        mov     [BDA_CHAR_HEIGHT], ax
        mov     bl, al
        mov     dx, [BDA_CRTC_PORT]
        mov     al, CRTC_MAX_SCAN_LINE
        out     dx, al
        inc     dx
        in      al, dx                  ; bits 5–7 do not belong to the height
        mov     bh, al
        and     al, ~SCAN_LINE_MASK & 0FFh
        add     al, bl
        dec     al
        out     dx, al

        mov     dx, VGA_MISC_READ
        in      al, dx
        and     al, MISC_VERTICAL_SIZE
        mov     cx, 350
        cmp     al, MISC_VERTICAL_350
        je      .lines_known
        mov     cx, 400
        test    bh, SCAN_DOUBLE
        jz      .lines_known
        mov     cx, 200
.lines_known:
        mov     ax, cx
        div     bl                      ; AL = rows
        mov     cl, al
        dec     al
        mov     [BDA_VIDEO_ROWS], al
        mov     al, cl
        mul     bl                      ; the display ends with the last whole row
        test    bh, SCAN_DOUBLE
        jz      .not_doubled
        add     ax, ax
.not_doubled:
        dec     ax                      ; above 255 for every height: bits 8 and 9 of this number stay as they are
        mov     dx, [BDA_CRTC_PORT]
        out_crtc CRTC_VDISPLAY_END, al
        cmp     byte [BDA_VIDEO_MODE], MODE_MONO_TEXT
        jne     .no_underline
        dec     bl
        out_crtc CRTC_UNDERLINE, bl
.no_underline:
        movzx   ax, cl
        mul     word [BDA_VIDEO_COLUMNS]
        add     ax, ax
        add     ax, PAGE_SIZE_UNIT - 1
        and     ax, ~(PAGE_SIZE_UNIT - 1) & 0FFFFh
        mov     [BDA_VIDEO_PAGE_SIZE], ax
        jmp     default_cursor_shape
.done:
        ret

; The cursor that a new cell height starts with: two lines, one above the cell's last where it has room for that.
; Clobbers AX, CX, DX.
default_cursor_shape:
        mov     cx, CURSOR_SHAPE_CGA
        call    emulate_cursor
        mov     [BDA_CURSOR_SHAPE], cx
        jmp     program_cursor_shape

; ---------------------------------------------------------------------------------------------------------
; Fonts of graphics modes: only vectors
; ---------------------------------------------------------------------------------------------------------

; 1120h: ES:BP -> characters 128–255, 8 lines each, for CGA modes.
font_graphics_high:
        mov     ax, [bp + FRAME_BP]
        load_seg ds, IVT_SEG
        mov     [1Fh * 4], ax
        mov     [1Fh * 4 + 2], es
        load_seg ds, BDA_SEG
        ret

; 1121h: ES:BP -> font, CX = bytes per glyph; BL = rows: 0: DL tells, 1: 14, 2: 25, 3: 43.
; 1122h, 1123h, 1124h: ROM fonts.
font_graphics_user:
        mov     si, [bp + FRAME_BP]
        jmp     set_graphics_font
font_graphics_8x14:
        mov     cx, 14
        jmp     font_graphics_rom
font_graphics_8x8:
        mov     cx, 8
        jmp     font_graphics_rom
font_graphics_8x16:
        mov     cx, 16
font_graphics_rom:
        mov     al, cl
        call    rom_font
        load_seg es, ROM_SEG
; ES:SI -> font of CX lines, BL and DL = rows as in 1121h. Clobbers AX, BX.
set_graphics_font:
        mov     [BDA_CHAR_HEIGHT], cx
        mov     al, dl
        cmp     bl, GRAPHICS_ROW_CODES
        jae     .rows_known
        mov     bh, 0
        cmp     bl, 0
        je      .rows_known
        mov     al, [cs:.rows + bx]
.rows_known:
        dec     al
        mov     [BDA_VIDEO_ROWS], al
        load_seg ds, IVT_SEG
        mov     [43h * 4], si
        mov     [43h * 4 + 2], es
        load_seg ds, BDA_SEG
        ret
.rows:
        db      0, 14, 25, 43
GRAPHICS_ROW_CODES      equ $ - .rows

; ---------------------------------------------------------------------------------------------------------
; 1130h: BH = which font -> ES:BP = its address, CX = bytes per character on the screen, DL = rows - 1
; ---------------------------------------------------------------------------------------------------------
font_information:
        cmp     bh, FONT_POINTERS
        jae     video_ignored
        movzx   bx, bh
        mov     ax, [BDA_CHAR_HEIGHT]
        mov     [bp + FRAME_CX], ax
        mov     al, [BDA_VIDEO_ROWS]
        mov     [bp + FRAME_DL], al
        load_seg ds, IVT_SEG
        les     di, [1Fh * 4]
        cmp     bl, 1
        jb      .found
        les     di, [43h * 4]
        je      .found
        add     bx, bx
        mov     di, [cs:.pointers + bx]
        load_seg es, ROM_SEG
.found:
        load_seg ds, BDA_SEG
        mov     [bp + FRAME_BP], di
        mov     [bp + FRAME_ES], es
        ret
.pointers:
        dw      0, 0                    ; INT 1Fh, INT 43h
        dw      font_8x14, font_8x8, font_8x8_high, font_9_wide, font_8x16, font_9_wide
FONT_POINTERS           equ ($ - .pointers) / 2
