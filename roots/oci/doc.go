// Package oci reads and writes images of containers as files: OCI image layouts
// (OCI image spec 1.1, image-layout.md), in a directory or in a tar, and what
// docker save writes. What lies in the blobs is not looked at.
package oci
