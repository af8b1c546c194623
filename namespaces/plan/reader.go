package plan

import (
	"strconv"
	"strings"
)

// maxGroups is how many groups a process can be in (NGROUPS_MAX, credentials(7)).
const maxGroups = 65536

// String is UID:GID,GID..., the form of reader= in a namespace file.
func (r *Reader) String() string {
	var b strings.Builder
	b.WriteString(decimal(uint64(r.UID)) + ":" + decimal(uint64(r.GID)))
	for _, g := range r.Groups {
		b.WriteString("," + decimal(uint64(g)))
	}
	return b.String()
}

func (r *Reader) check(l Layer) error {
	if l.Kind != LayerDir {
		return invalid("the layer %s is an image, which everybody may read", short(l.Source))
	}
	if r.UID == 0 {
		return invalid("the layer %s: root may read everything", short(l.Source))
	}
	if len(r.Groups) > maxGroups {
		return invalid("the reader of the layer %s is in %d groups; at most %d are possible", short(l.Source), len(r.Groups), maxGroups)
	}
	return checkIDs(append([]uint32{r.UID, r.GID}, r.Groups...)...)
}

func (a *args) reader(p **Reader) func(string) bool {
	return func(v string) bool {
		uid, rest, ok := strings.Cut(v, ":")
		r := &Reader{}
		ok = ok && plainID(uid, &r.UID)
		for i, word := range strings.Split(rest, ",") {
			var id uint32
			ok = ok && plainID(word, &id)
			if i == 0 {
				r.GID = id
			} else {
				r.Groups = append(r.Groups, id)
			}
		}
		*p = r
		return ok
	}
}

// plainID reads an id as decimal writes it.
func plainID(word string, into *uint32) bool {
	n, err := strconv.ParseUint(word, 10, 32)
	*into = uint32(n)
	return err == nil && uint32(n) != noID && decimal(n) == word
}
