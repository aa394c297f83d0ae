; Hard disks during POST: find them, choose the geometry to show, fill the tables that software looks for.
; Same conventions as in disk.asm, which includes this file.

; Find the hard disks and fill: drive records, BDA_DISK_COUNT, the vectors 13h, 40h, 41h, 46h, 76h and 77h,
; and the parameter tables. All registers are kept.
disk_init:
        pushad
        push    ds
        push    es
        cld
        load_seg ds, IVT_SEG
        load_seg es, EBDA_SEG
        vector  13h, int13_handler
        vector  40h, int40_handler
        vector  76h, int76_handler
        vector  77h, int77_handler
        mov     word [41h * 4], DISK_FDPT
        mov     word [41h * 4 + 2], EBDA_SEG
        mov     word [46h * 4], DISK_FDPT + FDPT_SIZE
        mov     word [46h * 4 + 2], EBDA_SEG
        mov     di, EBDA_DISK
        mov     cx, (DISK_DATA_END - EBDA_DISK + 1) / 2
        xor     ax, ax
        rep     stosw

        load_seg ds, EBDA_SEG
        load_seg es, IVT_SEG
        mov     di, IDENTIFY_BUFFER
        mov     si, DISK_TABLE
        xor     bx, bx                  ; BL = drives found
        mov     eax, ATA1_BASE | ATA1_CONTROL << 16
        mov     ch, 14
        call    .channel
        mov     eax, ATA2_BASE | ATA2_CONTROL << 16
        mov     ch, 15
        call    .channel

        load_seg ds, BDA_SEG
        mov     [BDA_DISK_COUNT], bl
        in      al, PIC2_DATA           ; IRQ 14 and 15 may come, through IRQ 2
        and     al, 3Fh
        out     PIC2_DATA, al
        in      al, PIC1_DATA
        and     al, ~(1 << PIC_CASCADE_IRQ) & 0FFh
        out     PIC1_DATA, al
        pop     es
        pop     ds
        popad
        ret

; Both drives of a channel. EAX = control port : base port, CH = IRQ.
.channel:
        mov     cl, ATA_DEVICE_FIXED | ATA_DEVICE_LBA
        call    .drive
        mov     cl, ATA_DEVICE_FIXED | ATA_DEVICE_LBA | ATA_DEVICE_DRIVE1
        call    .drive
        shr     eax, 16
        mov     dx, ax
        mov     al, ATA_CONTROL_FIXED           ; interrupts allowed
        out     dx, al
        ret

.drive:
        push    eax
        push    cx
        mov     [si + DRIVE.base], eax          ; DRIVE.control with it
        mov     [si + DRIVE.device], cl
        mov     [si + DRIVE.irq], ch
        call    ata_identify
        jnz     .absent
        push    bx
        call    disk_describe
        call    ata_set_multiple
        pop     bx
        cmp     bl, 2
        jae     .extension
        call    make_fdpt
.extension:
        call    make_dpte
        inc     bx
        add     si, DRIVE_size
        jmp     .next
.absent:
        mov     word [si + DRIVE.base], 0
.next:
        pop     cx
        pop     eax
        ret

; Fill the drive record (SI) from the answer to IDENTIFY DEVICE (ES:DI). EAX, EBX, ECX and EDX are lost.
disk_describe:
        mov     ax, [es:di + IDENTIFY_CYLINDERS]
        mov     [si + DRIVE.drive_cylinders], ax
        mov     ax, [es:di + IDENTIFY_HEADS]
        mov     [si + DRIVE.drive_heads], ax
        mov     ax, [es:di + IDENTIFY_SECTORS]
        mov     [si + DRIVE.drive_spt], ax

        mov     eax, [es:di + IDENTIFY_LBA28]
        xor     edx, edx
        test    word [es:di + IDENTIFY_COMMANDS], IDENTIFY_CAN_LBA48
        jz      .size
        mov     eax, [es:di + IDENTIFY_LBA48]
        mov     edx, [es:di + IDENTIFY_LBA48 + 4]
.size:
        mov     [si + DRIVE.sectors], eax
        mov     [si + DRIVE.sectors + 4], edx

        movzx   ax, byte [es:di + IDENTIFY_MULTIPLE]
        cmp     ax, MAX_BLOCK
        jbe     .block
        mov     ax, MAX_BLOCK
.block:
        or      ax, 1
        bsr     cx, ax                  ; a power of two
        mov     ax, 1
        shl     ax, cl
        mov     [si + DRIVE.block], al
        ; fall through

; Choose the geometry that INT 13h shows.
        call    disk_setup
        jnc     .store
        mov     ax, [si + DRIVE.drive_cylinders]
        mov     bx, [si + DRIVE.drive_heads]
        mov     cx, [si + DRIVE.drive_spt]
        dec     ax                      ; 1 to 1024 cylinders,
        cmp     ax, MAX_CYLINDERS - 1
        ja      .assist
        inc     ax
        test    bx, bx                  ; 1 to 255 heads and 1 to 63 sectors: shown as they are
        jz      .assist
        cmp     bx, ASSIST_MAX_HEADS
        ja      .assist
        jcxz    .assist
        cmp     cx, ASSIST_SPT
        jbe     .store
.assist:
        mov     bx, 16
        mov     eax, 16 * ASSIST_SPT * MAX_CYLINDERS
        cmp     dword [si + DRIVE.sectors + 4], 0
        jne     .largest
.heads:
        cmp     [si + DRIVE.sectors], eax
        jbe     .cylinders
        add     bx, bx
        add     eax, eax
        cmp     bx, 128
        jbe     .heads
.largest:
        mov     bx, ASSIST_MAX_HEADS
        mov     ax, MAX_CYLINDERS
        cmp     dword [si + DRIVE.sectors + 4], 0
        jne     .sectors
        cmp     dword [si + DRIVE.sectors], ASSIST_MAX_HEADS * ASSIST_SPT * MAX_CYLINDERS
        ja      .sectors
.cylinders:
        movzx   ecx, bx
        imul    ecx, ASSIST_SPT
        mov     eax, [si + DRIVE.sectors]
        xor     edx, edx
        div     ecx
.sectors:
        mov     cx, ASSIST_SPT
.store:
        mov     [si + DRIVE.cylinders], ax
        mov     [si + DRIVE.heads], bx
        mov     [si + DRIVE.spt], cx
        ret

; Out: the geometry that the CMOS has for the drive SI: AX = cylinders, BX = heads, CX = sectors per track;
; CF set when it has none that fits the drive. EAX, EBX, ECX and EDX are lost.
disk_setup:
        movzx   bx, byte [si + DRIVE.irq]
        sub     bx, 14                  ; IRQ 14 or 15
        add     bx, bx
        test    byte [si + DRIVE.device], ATA_DEVICE_DRIVE1
        jz      .known
        inc     bx
.known:
        mov     al, [cs:cmos_disk_types + bx]
        call    cmos_read
        cmp     al, DISK_TYPE_USER
        jne     .none
        mov     dl, [cs:cmos_disks + bx]
        mov     al, dl                  ; CMOS_DISK_CYLINDERS
        call    cmos_read
        mov     ch, al
        lea     ax, [edx + CMOS_DISK_CYLINDERS + 1]
        call    cmos_read
        mov     ah, al
        mov     al, ch
        push    ax
        lea     ax, [edx + CMOS_DISK_HEADS]
        call    cmos_read
        movzx   ebx, al
        lea     ax, [edx + CMOS_DISK_SPT]
        call    cmos_read
        movzx   ecx, al
        pop     ax
        movzx   eax, ax
        lea     edx, [eax - 1]          ; 1 to 1024 cylinders, 1 to 255 heads, 1 to 63 sectors
        cmp     edx, MAX_CYLINDERS - 1
        ja      .none
        lea     edx, [ebx - 1]
        cmp     edx, ASSIST_MAX_HEADS - 1
        ja      .none
        lea     edx, [ecx - 1]
        cmp     edx, ASSIST_SPT - 1
        ja      .none
        mov     edx, eax
        imul    edx, ebx
        imul    edx, ecx
        cmp     dword [si + DRIVE.sectors + 4], 0
        jne     .end                    ; CF = 0
        cmp     [si + DRIVE.sectors], edx       ; CF: the disk is smaller
.end:
        ret
.none:
        stc
        ret

cmos_disk_types:
        db      CMOS_DISK0_TYPE, CMOS_DISK1_TYPE, CMOS_DISK2_TYPE, CMOS_DISK3_TYPE
cmos_disks:
        db      CMOS_DISK0, CMOS_DISK1, CMOS_DISK2, CMOS_DISK3

; ZF set when INT 13h shows the drive's own geometry. EAX is lost.
same_geometry:
        mov     ax, [si + DRIVE.cylinders]
        cmp     ax, [si + DRIVE.drive_cylinders]
        jne     .end
        mov     eax, [si + DRIVE.heads]         ; DRIVE.spt with it
        cmp     eax, [si + DRIVE.drive_heads]
.end:
        ret

; Write the fixed disk parameter table of drive BL (0 or 1), SI its record: the classic table, or the
; translated one (signature A0h) that also holds the drive's own geometry. EAX, CX and DX are lost.
FDPT_CYLINDERS          equ 0           ; word: as INT 13h shows it
FDPT_HEADS              equ 2
FDPT_TRANSLATED         equ 3           ; A0h
FDPT_DRIVE_SPT          equ 4
FDPT_PRECOMP            equ 5           ; word
FDPT_CONTROL            equ 8
FDPT_DRIVE_CYLINDERS    equ 9           ; word
FDPT_DRIVE_HEADS        equ 11
FDPT_LANDING_ZONE       equ 12          ; word
FDPT_SPT                equ 14
FDPT_CHECKSUM           equ 15          ; makes the bytes' sum 0
FDPT_SIGNATURE          equ 0A0h
FDPT_CONTROL_RETRY      equ 0C0h        ; the drive does its own retries
FDPT_CONTROL_HEADS      equ 08h         ; more than 8 heads

make_fdpt:
        push    di
        movzx   di, bl
        shl     di, 4                   ; * FDPT_SIZE
        add     di, DISK_FDPT
        mov     ax, [si + DRIVE.cylinders]
        mov     [di + FDPT_CYLINDERS], ax
        mov     [di + FDPT_LANDING_ZONE], ax
        mov     word [di + FDPT_PRECOMP], 0FFFFh
        mov     al, [si + DRIVE.spt]
        mov     [di + FDPT_SPT], al
        mov     al, [si + DRIVE.heads]
        mov     [di + FDPT_HEADS], al
        cmp     al, 8
        mov     al, FDPT_CONTROL_RETRY
        jbe     .control
        or      al, FDPT_CONTROL_HEADS
.control:
        mov     [di + FDPT_CONTROL], al
        call    same_geometry
        je      .end
        mov     byte [di + FDPT_TRANSLATED], FDPT_SIGNATURE
        mov     ax, [si + DRIVE.drive_cylinders]
        mov     [di + FDPT_DRIVE_CYLINDERS], ax
        mov     al, [si + DRIVE.drive_heads]
        mov     [di + FDPT_DRIVE_HEADS], al
        mov     al, [si + DRIVE.drive_spt]
        mov     [di + FDPT_DRIVE_SPT], al
        mov     cx, FDPT_SIZE - 1
        call    make_checksum
.end:
        pop     di
        ret

; Store behind the CX bytes at DI the byte that makes their sum 0. AL, CX and DI are lost.
make_checksum:
        mov     al, 0
.byte:
        sub     al, [di]
        inc     di
        loop    .byte
        mov     [di], al
        ret
