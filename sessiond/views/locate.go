package views

import "ninefold/sessiond/journal"

// Place is where somebody asks from: a view, or the host for the zero Place.
type Place struct {
	View, Profile string
}

// Locate says where a process of uid is that root put into logind's session of
// that id, or with manager into the user's manager; "" and false is neither.
// The mount namespace that it is in counts more where that is another view of
// the same user, since who has entered that one is there. It is a hint all the
// same: the processes of one uid can reach each other.
func (vs *Views) Locate(uid uint32, session string, manager bool, mountNS uint64) Place {
	var m *UserManager
	if manager {
		m = vs.Manager(uid)
	}
	vs.mu.Lock()
	defer vs.mu.Unlock()
	var p Place
	for _, v := range vs.views {
		if v.rec.UID != uid || v.ended {
			continue
		}
		here := Place{v.rec.ID, v.rec.Profile}
		if v.rec.MountNS == mountNS {
			return here
		}
		if m != nil && m.View == v || session != "" && has(v.rec.Sessions, session) {
			p = here
		}
	}
	return p
}

func has(sessions []journal.Session, id string) bool {
	for _, s := range sessions {
		if s.ID == id {
			return true
		}
	}
	return false
}
