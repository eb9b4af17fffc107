// SPDX-License-Identifier: MIT
//
// File system types by the number that statfs(2) reports. The list holds what one meets under a database;
// numbers are those of the kernel's linux/magic.h and, for the file systems outside the kernel, of their own
// sources. virtiofs reports FUSE's number; ext2, ext3 and ext4 share one.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#include "base/fs.h"

typedef struct known_fs {
    unsigned long magic;
    weir__fs_class fs_class;
    const char *name;
} known_fs;

static const known_fs known[] = {
    {0xEF53, WEIR__FS_LOCAL, "ext4"},
    {0x58465342, WEIR__FS_LOCAL, "xfs"},
    {0x9123683E, WEIR__FS_LOCAL, "btrfs"},
    {0x2FC12FC1, WEIR__FS_LOCAL, "zfs"},
    {0xF2F52010, WEIR__FS_LOCAL, "f2fs"},
    {0xCA451A4E, WEIR__FS_LOCAL, "bcachefs"},
    {0x794C7630, WEIR__FS_LOCAL, "overlayfs"},
    {0x61756673, WEIR__FS_LOCAL, "aufs"},
    {0xF15F, WEIR__FS_LOCAL, "ecryptfs"},
    {0x3153464A, WEIR__FS_LOCAL, "jfs"},
    {0x52654973, WEIR__FS_LOCAL, "reiserfs"},
    {0x3434, WEIR__FS_LOCAL, "nilfs2"},
    {0x24051905, WEIR__FS_LOCAL, "ubifs"},
    {0x72B6, WEIR__FS_LOCAL, "jffs2"},
    {0x73717368, WEIR__FS_LOCAL, "squashfs"},
    {0xE0F5E1E2, WEIR__FS_LOCAL, "erofs"},
    {0x4D44, WEIR__FS_LOCAL, "vfat"},
    {0x2011BAB0, WEIR__FS_LOCAL, "exfat"},
    {0x7366746E, WEIR__FS_LOCAL, "ntfs3"},
    {0x482B, WEIR__FS_LOCAL, "hfsplus"},
    {0x9660, WEIR__FS_LOCAL, "iso9660"},
    {0x15013346, WEIR__FS_LOCAL, "udf"},
    {0x01021994, WEIR__FS_MEMORY, "tmpfs"},
    {0x858458F6, WEIR__FS_MEMORY, "ramfs"},
    {0x65735546, WEIR__FS_FUSE, "fuse or virtiofs"},
    {0x6969, WEIR__FS_NETWORK, "nfs"},
    {0x517B, WEIR__FS_NETWORK, "smb"},
    {0xFF534D42, WEIR__FS_NETWORK, "cifs"},
    {0xFE534D42, WEIR__FS_NETWORK, "smb2"},
    {0x01021997, WEIR__FS_NETWORK, "9p"},
    {0x00C36400, WEIR__FS_NETWORK, "ceph"},
    {0x5346414F, WEIR__FS_NETWORK, "afs"},
    {0x6B414653, WEIR__FS_NETWORK, "kafs"},
    {0x73757245, WEIR__FS_NETWORK, "coda"},
    {0x564C, WEIR__FS_NETWORK, "ncp"},
    {0x7461636F, WEIR__FS_NETWORK, "ocfs2"},
    {0x01161970, WEIR__FS_NETWORK, "gfs2"},
    {0x0BD00BD0, WEIR__FS_NETWORK, "lustre"},
    {0x47504653, WEIR__FS_NETWORK, "gpfs"},
    {0x19830326, WEIR__FS_NETWORK, "beegfs"},
    {0x786F4256, WEIR__FS_NETWORK, "vboxsf"},
    {0xBACBACBC, WEIR__FS_NETWORK, "vmhgfs"},
    {0x7C7C6673, WEIR__FS_NETWORK, "prl_fs"},
    {0x00C0FFEE, WEIR__FS_NETWORK, "hostfs"},
};

void weir__fs_kind_of_magic(unsigned long magic, weir__fs_kind *kind)
{
    const unsigned long word = magic & 0xFFFFFFFFUL; // f_type is signed: some numbers come sign-extended
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].magic == word) {
            kind->fs_class = known[i].fs_class;
            snprintf(kind->name, sizeof kind->name, "%s", known[i].name);
            return;
        }
    }
    kind->fs_class = WEIR__FS_UNKNOWN;
    snprintf(kind->name, sizeof kind->name, "0x%lx", word);
}

int weir__fs_kind_of(const char *path, weir__fs_kind *kind, weir_error *err)
{
    *kind = (weir__fs_kind){.fs_class = WEIR__FS_UNKNOWN};
    struct statfs stats;
    int rc = 0;
    do {
        rc = statfs(path, &stats);
    } while (rc != 0 && errno == EINTR);
    if (rc != 0)
        return weir__error_errno(err, errno, "cannot tell the file system of %s", path);
    weir__fs_kind_of_magic((unsigned long)stats.f_type, kind);
    return WEIR_OK;
}
