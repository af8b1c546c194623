// Package debian asks the Debian archive: it verifies what an archive says
// about itself, lets apt's solver choose packages in a private root, and
// downloads exactly those.
//
// Nothing of the machine's apt state is written or locked, and none of its
// hooks run. What apt sees are only indices whose hashes stand in an InRelease
// file with a good signature.
package debian

import "errors"

// Sentinel errors of this package.
var (
	// ErrBadSignature: a known key's signature does not match the file.
	ErrBadSignature = errors.New("bad signature")
	// ErrUnknownKey: no key of the keyring signed the file.
	ErrUnknownKey = errors.New("not signed by a known key")
	// ErrExpired: the file or every key that signed it is not valid now.
	ErrExpired = errors.New("not valid at this time")
	// ErrWrongSuite: the archive answered with another suite than asked for.
	ErrWrongSuite = errors.New("wrong suite")
	// ErrNoKeyring: there is no key to verify with.
	ErrNoKeyring = errors.New("no keyring")
	// ErrHash: content does not have the size or sha256 that was promised.
	ErrHash = errors.New("wrong content")
	// ErrGone: the archive does not have the file (any more).
	ErrGone = errors.New("not in the archive")
	// ErrNetwork: the archive could not be reached, or broke off.
	ErrNetwork = errors.New("archive is out of reach")
	// ErrNotKept: nothing of the archive is kept that could be asked in its place.
	ErrNotKept = errors.New("nothing of the archive is kept")
	// ErrNoPackage: the archive has no package of that name or version.
	ErrNoPackage = errors.New("no such package")
	// ErrUnsatisfiable: the packages cannot be installed together.
	ErrUnsatisfiable = errors.New("packages cannot be installed together")
	// ErrReplacesParent: the answer would replace packages of the parent.
	ErrReplacesParent = errors.New("packages of the parent would be replaced")
	// ErrNoSource: nothing says where packages come from.
	ErrNoSource = errors.New("no source of packages")
	// ErrNoApt: apt-get or dpkg's state is missing on this machine.
	ErrNoApt = errors.New("no apt on this machine")
)
