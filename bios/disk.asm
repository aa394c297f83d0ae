; INT 13h: hard disks at the ATA channels, and the answers for floppy drives, of which there are none.
;
;   disk_init       POST, in disk_post.asm
;   int13_handler   AH=00h–05h 08h 09h 0Ch 0Dh 10h 11h 14h 15h here, 41h–4Eh in edd.asm
;   int40_handler   DL below 80h
;   int76_handler, int77_handler   IRQ 14 and 15
;
; Cylinders, heads and sectors are translated: INT 13h has 10 bits for the cylinder and 8 for the head, the
; drive 16 and 4. A geometry in the CMOS (disk type 47) is shown as it is; pcemu puts there what the disk's
; partition table was made for. Otherwise, up to 1024 cylinders, the drive's own geometry is shown; above, the
; usual LBA-assisted geometry of 63 sectors and 16, 32, 64, 128 or 255 heads, as other BIOSes show it for a
; disk of that size, so that partition tables agree. The drive itself is always addressed by LBA.
; As on the AT, the last cylinder is kept for diagnostics: AH=08h and 15h leave it out; it can be accessed.
;
; A function gets DS = EBDA_SEG, SI = drive record, its registers as the caller set them, and BP at the frame.
; It returns AL = status and AH = what the caller finds in AH when the status is DISK_OK.

%include "ata.asm"

DL_HARD_DISK            equ 80h
MAX_CYLINDERS           equ 1024
ASSIST_SPT              equ 63
ASSIST_MAX_HEADS        equ 255
MAX_CHS_COUNT           equ 128         ; sectors per call: 64 KiB
TYPE_FIXED_DISK         equ 3           ; AH=15h
IDENTIFY_BUFFER         equ 8000h       ; 0000:8000, free during POST

%include "disk_post.asm"

; ---------------------------------------------------------------------------------------------------------
; INT 13h
; ---------------------------------------------------------------------------------------------------------
int13_handler:
        test    dl, DL_HARD_DISK
        jz      int13_floppy
        int_enter
        load_seg ds, EBDA_SEG
        mov     word [EBDA_POLL_COUNT], 0       ; a program that uses a disk does not idle
        mov     bx, dx
        and     bx, 7Fh
        cmp     bl, MAX_DRIVES
        jae     .absent
        shl     bx, 5                   ; * DRIVE_size
        lea     si, [bx + DISK_TABLE]
        cmp     word [si + DRIVE.base], 0
        je      .absent
        movzx   bx, ah
        mov     di, int13_classic
        cmp     bl, INT13_CLASSIC_COUNT
        jb      .call
        mov     di, int13_edd
        sub     bl, INT13_EDD_FIRST
        cmp     bl, INT13_EDD_COUNT
        jae     .unknown
.call:
        add     bx, bx
        add     di, bx
        mov     bx, [bp + FRAME_BX]
        call    [cs:di]
.finish:
        load_seg ds, BDA_SEG
        mov     [BDA_DISK_STATUS], al
        cf_clear
        test    al, al
        jz      .leave
        mov     ah, al
        cf_set
.leave:
        mov     [bp + FRAME_AH], ah
        int_leave
.unknown:
        mov     al, DISK_BAD_COMMAND
        jmp     .finish
.absent:
        cmp     ah, 15h                 ; "there is no such drive" is an answer, not an error
        mov     al, DISK_BAD_COMMAND
        jne     .finish
        xor     ax, ax
        mov     [bp + FRAME_AX], ax
        mov     [bp + FRAME_CX], ax
        mov     [bp + FRAME_DX], ax
        jmp     .finish

; Pass a floppy's call on to whoever answers INT 40h, with the stack and registers of the caller.
int13_floppy:
        sub     sp, 4
        push    bp
        mov     bp, sp
        push    ds
        push    ax
        load_seg ds, IVT_SEG
        mov     ax, [40h * 4]
        mov     [bp + 2], ax
        mov     ax, [40h * 4 + 2]
        mov     [bp + 4], ax
        pop     ax
        pop     ds
        pop     bp
        retf

%if DRIVE_size != 32
  %error "int13_handler finds a record by shifting"
%endif

INT13_CLASSIC_COUNT     equ 16h
int13_classic:
        dw      disk_reset              ; 00h
        dw      disk_last_status        ; 01h
        dw      disk_read               ; 02h
        dw      disk_write              ; 03h
        dw      disk_verify             ; 04h
        dw      disk_unsupported        ; 05h format track: would lose data, and no drive needs it
        dw      disk_unsupported        ; 06h
        dw      disk_unsupported        ; 07h
        dw      disk_parameters         ; 08h
        dw      disk_test_ready         ; 09h the drive is set up already
        dw      disk_unsupported        ; 0Ah
        dw      disk_unsupported        ; 0Bh
        dw      disk_seek               ; 0Ch
        dw      disk_reset              ; 0Dh
        dw      disk_unsupported        ; 0Eh
        dw      disk_unsupported        ; 0Fh
        dw      disk_test_ready         ; 10h
        dw      disk_test_ready         ; 11h recalibrate: the drive does it by itself
        dw      disk_unsupported        ; 12h
        dw      disk_unsupported        ; 13h
        dw      disk_diagnostic         ; 14h
        dw      disk_type               ; 15h

disk_unsupported:
        mov     al, DISK_BAD_COMMAND
        ret

; AH=00h, 0Dh: reset the controller.
disk_reset:
        call    ata_reset
        mov     ah, 0
        jmp     ata_release

; AH=14h: the controller's own test, which a reset runs.
disk_diagnostic:
        call    ata_reset
        jz      .end
        mov     al, DISK_CONTROLLER
.end:
        mov     ah, 0
        jmp     ata_release

; AH=01h: the status of the last operation.
disk_last_status:
        load_seg es, BDA_SEG
        mov     al, [es:BDA_DISK_STATUS]
        mov     ah, 0
        ret

; AH=02h, 03h, 04h: AL sectors at cylinder CH + CL bits 6–7, head DH, sector CL bits 0–5; buffer ES:BX.
; The caller's AL becomes the number of sectors done.
disk_read:
        mov     bl, XFER_READ
        jmp     disk_access
disk_write:
        mov     bl, XFER_WRITE
        jmp     disk_access
disk_verify:
        mov     bl, XFER_VERIFY
disk_access:
        dec     al                      ; 1 to 128 sectors
        cmp     al, MAX_CHS_COUNT - 1
        mov     al, DISK_BAD_COMMAND
        ja      .end
        push    bx
        call    chs_to_lba
        pop     bx
        jc      .end
        mov     di, [bp + FRAME_BX]
        movzx   cx, byte [bp + FRAME_AL]
        call    ata_transfer
        mov     [bp + FRAME_AL], cl
.end:
        mov     ah, 0
        ret

; AH=0Ch: nothing to do for a drive that seeks by itself, but the cylinder must exist.
disk_seek:
        call    chs_to_lba
        jc      .end
        mov     al, DISK_OK
.end:
        mov     ah, 0
        ret

; Out: EDX:EAX = the sector that the caller's CX and DH name; or CF set and AL = status. EBX, CX are lost.
chs_to_lba:
        movzx   eax, word [bp + FRAME_CX]
        rol     al, 2                   ; cylinder bits 8 and 9 were in bits 6 and 7
        xchg    al, ah
        and     ah, 3
        movzx   ebx, byte [bp + FRAME_CL]
        and     bl, 3Fh
        jz      .bad
        movzx   ecx, byte [bp + FRAME_DH]
        cmp     ax, [si + DRIVE.cylinders]
        jae     .bad
        cmp     cx, [si + DRIVE.heads]
        jae     .bad
        cmp     bx, [si + DRIVE.spt]
        ja      .bad
        movzx   edx, word [si + DRIVE.heads]
        imul    eax, edx
        add     eax, ecx
        movzx   edx, word [si + DRIVE.spt]
        imul    eax, edx
        lea     eax, [eax + ebx - 1]
        xor     edx, edx                ; clears CF
        ret
.bad:
        mov     al, DISK_BAD_COMMAND
        stc
        ret

; AH=08h: CX = last cylinder and sectors per track, DH = last head, DL = number of drives.
disk_parameters:
        call    last_cylinder
        mov     ch, al
        mov     cl, ah
        shl     cl, 6
        or      cl, [si + DRIVE.spt]
        mov     dh, [si + DRIVE.heads]
        dec     dh
        load_seg ds, BDA_SEG
        mov     dl, [BDA_DISK_COUNT]
        mov     [bp + FRAME_CX], cx
        mov     [bp + FRAME_DX], dx
        xor     ax, ax
        mov     [bp + FRAME_AL], al
        ret

; Out: AX = the last cylinder before the one that is kept for diagnostics.
last_cylinder:
        mov     ax, [si + DRIVE.cylinders]
        sub     ax, 2
        jae     .end
        xor     ax, ax
.end:
        ret

; AH=09h, 10h, 11h: is the drive ready?
disk_test_ready:
        mov     al, [si + DRIVE.device]
        call    ata_select
        jnz     .end
        test    ah, ATA_STATUS_DRDY
        jnz     .end
        mov     al, DISK_NOT_READY
.end:
        mov     ah, 0
        jmp     ata_release

; AH=15h: AH = type of the drive, CX:DX = its sectors.
disk_type:
        call    last_cylinder
        inc     ax
        movzx   eax, ax
        movzx   ecx, word [si + DRIVE.heads]
        imul    eax, ecx
        movzx   ecx, word [si + DRIVE.spt]
        imul    eax, ecx
        mov     [bp + FRAME_DX], ax
        shr     eax, 16
        mov     [bp + FRAME_CX], ax
        mov     ax, TYPE_FIXED_DISK << 8 | DISK_OK
        ret

%include "edd.asm"

; ---------------------------------------------------------------------------------------------------------
; INT 40h: floppy drives, of which there are none
; ---------------------------------------------------------------------------------------------------------
int40_handler:
        int_enter
        load_seg ds, BDA_SEG
        cmp     ah, 00h                 ; reset
        je      .success
        cmp     ah, 01h
        je      .status
        cmp     ah, 08h                 ; parameters: of no drive
        je      .parameters
        cmp     ah, 15h                 ; type 0: no such drive
        je      .type
        cmp     ah, 18h                 ; 02h–05h transfer and format, 16h–18h disk change and type
        ja      .unknown
        mov     al, DISK_TIMEOUT        ; "not ready"
        jmp     .finish
.parameters:
        xor     ax, ax
        mov     [bp + FRAME_BX], ax
        mov     [bp + FRAME_CX], ax
        mov     [bp + FRAME_DX], ax
        mov     [bp + FRAME_DI], ax
        mov     [bp + FRAME_ES], ax
.unknown:
        mov     al, DISK_BAD_COMMAND
        jmp     .finish
.status:
        mov     al, [BDA_FLOPPY_STATUS]
        jmp     .finish
.type:
.success:
        mov     al, DISK_OK
.finish:
        mov     [BDA_FLOPPY_STATUS], al
        mov     [bp + FRAME_AH], al
        cf_clear
        test    al, al
        jz      .leave
        cf_set
.leave:
        int_leave

; ---------------------------------------------------------------------------------------------------------
; IRQ 14 and 15. Our own transfers do not use them; programs that drive the disk themselves may rely on these.
; ---------------------------------------------------------------------------------------------------------
DEVICE_POST             equ 9100h       ; INT 15h: "the device is ready", AL = 00h: hard disk

int76_handler:
int77_handler:
        push    ax
        push    ds
        load_seg ds, BDA_SEG
        mov     byte [BDA_DISK_IRQ_FLAG], 0FFh
        mov     al, PIC_EOI
        out     PIC2_COMMAND, al
        out     PIC1_COMMAND, al
        mov     ax, DEVICE_POST
        int     15h
        pop     ds
        pop     ax
        iret
