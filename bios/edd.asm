; INT 13h extensions (Enhanced Disk Drive services 3.0): AH=41h–4Eh, sectors by number instead of CHS.
; Same conventions as in disk.asm, which includes this file.

EDD_VERSION             equ 30h         ; 3.0
EDD_SIGNATURE           equ 0AA55h      ; asked as 55AAh
EDD_SUBSETS             equ 0007h       ; extended access, locking and ejecting, drive parameters

INT13_EDD_FIRST         equ 41h
INT13_EDD_COUNT         equ 4Eh - INT13_EDD_FIRST + 1
int13_edd:
        dw      edd_check               ; 41h
        dw      edd_read                ; 42h
        dw      edd_write               ; 43h
        dw      edd_verify              ; 44h
        dw      disk_success            ; 45h lock: a fixed disk is always locked in
        dw      edd_eject               ; 46h
        dw      edd_seek                ; 47h
        dw      edd_parameters          ; 48h
        dw      disk_success            ; 49h medium changed? never
        dw      disk_unsupported        ; 4Ah
        dw      disk_unsupported        ; 4Bh boot a CD image, or ask for one
        dw      disk_unsupported        ; 4Ch
        dw      disk_unsupported        ; 4Dh
        dw      edd_configure           ; 4Eh

disk_success:
        xor     ax, ax
        ret

; AH=41h: are there extensions? BX = 55AAh when asked; answered by AA55h, AH = version, CX = subsets.
edd_check:
        cmp     bx, 55AAh
        jne     disk_unsupported
        mov     word [bp + FRAME_BX], EDD_SIGNATURE
        mov     word [bp + FRAME_CX], EDD_SUBSETS
        mov     ax, EDD_VERSION << 8 | DISK_OK
        ret

; AH=46h
edd_eject:
        mov     al, DISK_NOT_REMOVABLE
        ret

; AH=4Eh: transfer modes. PIO is all there is, so whatever asks for that has it already.
edd_configure:
        cmp     al, 01h                 ; no prefetch
        je      disk_success
        cmp     al, 03h                 ; fastest PIO mode
        je      disk_success
        cmp     al, 04h                 ; PIO mode 0
        je      disk_success
        cmp     al, 06h                 ; no DMA
        je      disk_success
        jmp     disk_unsupported

; AH=42h, 43h, 44h, 47h: the packet at DS:SI says which sectors and where to.
; Its count becomes the number of sectors done.
DAP_SIZE                equ 0           ; byte: 10h, or 18h with DAP_FLAT
DAP_COUNT               equ 2           ; word
DAP_BUFFER              equ 4           ; far pointer; FFFF:FFFF: see DAP_FLAT
DAP_LBA                 equ 8           ; qword
DAP_FLAT                equ 10h         ; qword: linear address of the buffer
DAP_MIN_SIZE            equ 10h
DAP_FLAT_SIZE           equ 18h
WRITE_AND_VERIFY        equ 2           ; AL of AH=43h

edd_read:
        mov     bl, XFER_READ
        jmp     edd_access
edd_verify:
        mov     bl, XFER_VERIFY
        jmp     edd_access
edd_write:
        mov     bl, XFER_WRITE
        call    edd_access
        jne     .end
        cmp     byte [bp + FRAME_AL], WRITE_AND_VERIFY
        je      edd_verify
.end:
        ret

; BL = XFER_*. Out: AL = status, ZF set when it is DISK_OK.
edd_access:
        call    edd_packet
        jnz     .end
        push    di
        call    edd_buffer
        jnz     .refuse
        call    ata_transfer
.refuse:
        pop     di
        mov     es, [bp + FRAME_DS]
        mov     [es:di + DAP_COUNT], cx
.end:
        mov     ah, 0
        test    al, al
        ret

; AH=47h: nothing to do for a drive that seeks by itself, but the sector must exist.
edd_seek:
        call    edd_packet
        jnz     .end
        mov     [XFER_LBA], eax
        mov     [XFER_LBA + 4], edx
        mov     word [XFER_LEFT], 1
        call    ata_check_range
.end:
        mov     ah, 0
        ret

; Out: ES:DI = the packet, EDX:EAX = DAP_LBA, CX = DAP_COUNT, ZF set; or ZF clear and AL = status.
edd_packet:
        mov     es, [bp + FRAME_DS]
        mov     di, [bp + FRAME_SI]
        cmp     byte [es:di + DAP_SIZE], DAP_MIN_SIZE
        mov     al, DISK_BAD_COMMAND
        jb      .end
        mov     cx, [es:di + DAP_COUNT]
        mov     eax, [es:di + DAP_LBA]
        mov     edx, [es:di + DAP_LBA + 4]
        cmp     ax, ax
.end:
        ret

; In: ES:DI = packet. Out: ES:DI = its buffer, ZF set, EDX:EAX and CX kept; or ZF clear, AL = status, CX = 0.
edd_buffer:
        cmp     dword [es:di + DAP_BUFFER], 0FFFFFFFFh
        je      .flat
        les     di, [es:di + DAP_BUFFER]
        cmp     ax, ax
        ret
.flat:
        cmp     byte [es:di + DAP_SIZE], DAP_FLAT_SIZE
        jb      .bad
        cmp     dword [es:di + DAP_FLAT + 4], 0
        jne     .bad
        push    eax
        mov     eax, [es:di + DAP_FLAT]
        mov     di, ax
        and     di, 0Fh
        shr     eax, 4
        mov     es, ax
        shr     eax, 16                 ; anything left lies above 1 MiB, out of our reach
        pop     eax
        jnz     .bad
        ret
.bad:
        xor     cx, cx
        mov     al, DISK_BAD_COMMAND
        test    al, al
        ret

; ---------------------------------------------------------------------------------------------------------
; AH=48h: the drive's parameters, into the buffer at DS:SI; its first word says how much of it there is.
; ---------------------------------------------------------------------------------------------------------
EDD_SIZE                equ 0           ; word
EDD_FLAGS               equ 2           ; word: EDD_GEOMETRY_VALID
EDD_CYLINDERS           equ 4           ; dwords: the drive's own geometry
EDD_HEADS               equ 8
EDD_SPT                 equ 12
EDD_SECTORS             equ 16          ; qword
EDD_SECTOR_SIZE         equ 24          ; word
EDD_V1_SIZE             equ 26
EDD_DPTE                equ 26          ; far pointer to the device parameter table extension
EDD_V2_SIZE             equ 30
EDD_PATH                equ 30          ; word: EDD_PATH_SIGNATURE; everything up to the checksum sums to 0
EDD_PATH_SIZE           equ 32          ; byte
EDD_HOST_BUS            equ 36          ; 4 characters
EDD_INTERFACE           equ 40          ; 8 characters
EDD_INTERFACE_PATH      equ 48          ; qword: for ISA, the base port
EDD_DEVICE_PATH         equ 56          ; for ATA: 0 or 1, the drive
EDD_V3_PHOENIX_SIZE     equ 66          ; device path of 8 bytes
EDD_V3_SIZE             equ 74          ; device path of 16 bytes

EDD_GEOMETRY_VALID      equ 0002h
EDD_PATH_SIGNATURE      equ 0BEDDh
EDD_GEOMETRY_LIMIT      equ 16383 * 16 * 63     ; the largest geometry of an ATA drive
SECTOR_SIZE             equ 512

edd_parameters:
        mov     es, [bp + FRAME_DS]
        mov     di, [bp + FRAME_SI]
        mov     bx, [es:di + EDD_SIZE]
        cmp     bx, EDD_V1_SIZE
        jb      disk_unsupported

        mov     word [es:di + EDD_SIZE], EDD_V1_SIZE
        mov     eax, [si + DRIVE.sectors]
        mov     edx, [si + DRIVE.sectors + 4]
        mov     [es:di + EDD_SECTORS], eax
        mov     [es:di + EDD_SECTORS + 4], edx
        mov     word [es:di + EDD_SECTOR_SIZE], SECTOR_SIZE
        movzx   ecx, word [si + DRIVE.drive_cylinders]
        mov     [es:di + EDD_CYLINDERS], ecx
        movzx   ecx, word [si + DRIVE.drive_heads]
        mov     [es:di + EDD_HEADS], ecx
        movzx   ecx, word [si + DRIVE.drive_spt]
        mov     [es:di + EDD_SPT], ecx
        mov     ecx, EDD_GEOMETRY_LIMIT
        sub     ecx, eax
        mov     ecx, 0
        sbb     ecx, edx
        sbb     ax, ax                  ; all ones when the disk is larger than its geometry can say
        not     ax
        and     ax, EDD_GEOMETRY_VALID
        mov     [es:di + EDD_FLAGS], ax

        cmp     bx, EDD_V2_SIZE
        jb      disk_success
        mov     word [es:di + EDD_SIZE], EDD_V2_SIZE
        mov     ax, si                  ; record number * 32
        sub     ax, DISK_TABLE
        shr     ax, 1                   ; * DPTE_SIZE
        add     ax, DISK_DPTE
        mov     [es:di + EDD_DPTE], ax
        mov     word [es:di + EDD_DPTE + 2], EBDA_SEG

        mov     ax, EDD_V3_SIZE
        cmp     bx, ax
        jae     edd_path
        mov     ax, EDD_V3_PHOENIX_SIZE
        cmp     bx, ax
        jae     edd_path
        jmp     disk_success

; Add the device path. In: ES:DI = buffer, AX = its size with the path.
edd_path:
        mov     [es:di + EDD_SIZE], ax
        sub     ax, EDD_PATH
        mov     cx, ax
        push    cx
        push    di
        add     di, EDD_PATH
        mov     al, 0
        rep     stosb
        pop     di
        pop     cx
        mov     word [es:di + EDD_PATH], EDD_PATH_SIGNATURE
        mov     [es:di + EDD_PATH_SIZE], cl
        mov     dword [es:di + EDD_HOST_BUS], 'ISA '
        mov     dword [es:di + EDD_INTERFACE], 'ATA '
        mov     dword [es:di + EDD_INTERFACE + 4], '    '
        mov     ax, [si + DRIVE.base]
        mov     [es:di + EDD_INTERFACE_PATH], ax
        mov     al, [si + DRIVE.device]
        and     al, ATA_DEVICE_DRIVE1
        shr     al, 4
        mov     [es:di + EDD_DEVICE_PATH], al
        push    es
        pop     ds
        add     di, EDD_PATH
        dec     cx
        call    make_checksum
        jmp     disk_success

; ---------------------------------------------------------------------------------------------------------
; The device parameter table extension: how a driver of its own would reach the drive
; ---------------------------------------------------------------------------------------------------------
DPTE_BASE               equ 0           ; word
DPTE_CONTROL            equ 2           ; word
DPTE_DEVICE             equ 4           ; device register
DPTE_IRQ                equ 6
DPTE_BLOCK              equ 7           ; sectors per DRQ block
DPTE_OPTIONS            equ 10          ; word
DPTE_REVISION           equ 14
DPTE_CHECKSUM           equ 15          ; makes the bytes' sum 0

DPTE_BLOCK_PIO          equ 0004h
DPTE_CHS_TRANSLATED     equ 0008h
DPTE_LBA                equ 0010h
DPTE_LBA_ASSISTED       equ 0200h       ; kind of the CHS translation
DPTE_REVISION_1_1       equ 11h

; Write the table of drive BL, SI its record. EAX, CX and DX are lost.
make_dpte:
        push    di
        movzx   di, bl
        shl     di, 4                   ; * DPTE_SIZE
        add     di, DISK_DPTE
        mov     eax, [si + DRIVE.base]
        mov     [di + DPTE_BASE], eax   ; DPTE_CONTROL with it
        mov     al, [si + DRIVE.device]
        mov     [di + DPTE_DEVICE], al
        mov     al, [si + DRIVE.irq]
        mov     [di + DPTE_IRQ], al
        mov     dx, DPTE_LBA
        mov     al, [si + DRIVE.block]
        cmp     al, 1
        je      .translation
        mov     [di + DPTE_BLOCK], al
        or      dx, DPTE_BLOCK_PIO
.translation:
        call    same_geometry
        je      .options
        or      dx, DPTE_CHS_TRANSLATED | DPTE_LBA_ASSISTED
.options:
        mov     [di + DPTE_OPTIONS], dx
        mov     byte [di + DPTE_REVISION], DPTE_REVISION_1_1
        mov     cx, DPTE_SIZE - 1
        call    make_checksum
        pop     di
        ret
