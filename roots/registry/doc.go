// Package registry moves images between stores and OCI registries.
//
// # Layout
//
// A reference is an OCI image index (OCI image spec 1.1) of two manifests. The
// first is an image that any container engine runs: one layer for each
// package of the chain, one for each finishing package, and a last one with
// what separates their stack from the tree that Ninefold would make of them:
// diverted and removed paths, and directories that layers only imply. The second, for the
// platform unknown/unknown, is an artifact of type ArtifactType: a Document and the
// records of the packages, those of each image of the chain together. An index is what builders of containers use
// for attestations, so that every registry and engine takes it; referrers
// are missing in too many registries, and do not follow a copy.
//
// A layer holds the files of one package and nothing of its image, and its
// tar and its compression depend on the package alone: images that share a package
// share its blob. Its diff id and its digest are not the package's id: that is
// the sha256 of the record, which names the sha256 of every file.
//
// # Trust
//
// A pull believes nothing but hashes: a record must have the id that its image's
// manifest names, the content of each file the digest that the record names, and
// the images must form the chain that their ids say. Signatures travel along;
// what they are worth is decided when an image is used.
package registry
