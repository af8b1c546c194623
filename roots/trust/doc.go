// Package trust decides whether an image may be used: whether it was built
// here, or keys that root trusts signed it.
//
// Root's words are three kinds of files in the directories of configuration:
// trust.d/NAME.toml is a key, with the references that it may sign;
// revoked.toml lists keys that count no more; trust.toml says by reference
// what has to be signed. What root built on this machine needs no signature,
// unless trust.toml wants one; what came from outside (store.Origin) needs one
// over the image, unless trust.toml says otherwise.
//
// # What a signature covers
//
// The id of an image is a hash over its parent's id and its packages' digests,
// so a signature over it covers the whole chain. Signatures over packages are
// separate: others who build the same package add theirs, and policy can ask
// for several.
//
// # Freshness
//
// A tag is signed with a version that only grows, and perhaps a date after
// which it says nothing. The store keeps the newest version that it accepted
// of each reference (store.Seen); an older one, or another image of the same version, is
// refused. This is what TUF's timestamp and snapshot roles do for a repository of
// one target at a time. The metadata types of go-tuf are not used: they bring a
// second, threshold-signed description of keys and roles beside trust.d, whose
// root of trust is a file of root's here, and with it sigstore,
// go-containerregistry and protobuf into the program that makes sessions.
package trust
