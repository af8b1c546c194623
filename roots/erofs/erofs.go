// Package erofs writes EROFS images. Build makes metadata-only ones: names, inodes
// and extended attributes without file content. With overlay's metacopy and redirect
// attributes on its files such an image is the composefs layout. Write makes
// whole ones.
//
// The package is pure: nodes in, bytes out, and the same nodes always give the
// same bytes. It keeps hard links, which the writers at hand do not.
//
// Format: Linux, Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h.
package erofs

// Layout constants of the on-disk format.
const (
	blockSize     = 4096
	blockBits     = 12
	superOffset   = 1024
	superSize     = 128
	magic         = 0xE0F5E1E2
	slotSize      = 32 // an inode number counts slots from the image's start
	inodeSize     = 64 // the extended inode: 32-bit ids, 64-bit mtime
	direntSize    = 12
	xattrHeader   = 12
	xattrEntry    = 4
	blockMapEntry = 4

	compatChecksum  = 0x1
	compatMTime     = 0x2
	incompatChunked = 0x4

	layoutPlain  = 0
	layoutInline = 2
	layoutChunk  = 4

	uuidOffset     = superOffset + 48
	checksumOffset = superOffset + 4
)

// Bounds on what Build takes. They lie far above any real image and keep every
// field of the format in range.
const (
	MaxNodes     = 1 << 24
	maxName      = 255
	maxTarget    = 4095
	maxXattrs    = 64 << 10 // bytes of one inode's attributes, encoded
	maxImageSize = 8 << 30
)

// The kinds of file, as in the upper bits of st_mode (inode(7)).
const (
	TypeMask = 0o170000
	Fifo     = 0o010000
	Char     = 0o020000
	Dir      = 0o040000
	Block    = 0o060000
	Regular  = 0o100000
	Symlink  = 0o120000
)

// None is the Link of a node that is not a further name of another one.
const None = -1

// Node is one name in the image. Strings and slices are read, not kept.
type Node struct {
	// Name is the last component: no slash, no NUL, at most 255 bytes. The
	// root, which is the first node, has none.
	Name string
	// Parent is the index of the directory that holds the name; it is smaller
	// than the node's own index. The root's is not looked at.
	Parent int32
	// Link is None, or the index of an earlier node, not a directory, of
	// which this is one more name; then the fields below are not looked at.
	Link int32
	// Mode is st_mode: type and permission bits.
	Mode     uint32
	UID, GID uint32
	// MTime is in seconds since the epoch.
	MTime int64
	// Size is what stat shows for a Regular file. Its content is a hole, but for Write.
	Size int64
	// Target is the text of a Symlink.
	Target       string
	Major, Minor uint32
	// Xattrs are in the order in which they are written; names are full
	// ("user.x") and lie in a namespace that EROFS knows.
	Xattrs []Xattr
}

// Xattr is one extended attribute.
type Xattr struct{ Name, Value string }
