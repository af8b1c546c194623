// Package sign makes and checks signatures over packages, images and tags.
//
// A signature is a DSSE envelope (github.com/secure-systems-lab/dsse) over an
// in-toto Statement v1 whose subject is the sha256 that names a package or an
// image. So a digest alone is signed, whatever the size of what it names, and
// other programs can read who vouched for what. Keys are Ed25519 (RFC 8032);
// their files are PEM, PKCS #8 for private and SubjectPublicKeyInfo for public
// ones, so that openssl(1) reads them.
//
// Who signed is decided here; whether that key may is package trust's.
package sign
