// Package foreign brings into the store what others made: images of containers,
// whole roots in a tar or a directory, and erofs files. All of it is taken apart in user
// space by the reader of packages (deb.FromLayers), which refuses what no package may hold, and
// becomes one package of an image without a parent. Nothing is mounted or
// executed. What programs of the machine's must read, squashfs and compressed erofs files, they read as nobody in
// sessions of their own.
//
// Such an image counts as one from outside: it has no signature, so that it gets its
// name, and can be used, only where trust.toml says so, or when root signs it.
package foreign
