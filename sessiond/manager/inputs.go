package manager

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"ninefold/namespaces/plan"
	"ninefold/roots/compat"
	"ninefold/roots/image"
	"ninefold/roots/store"
	"ninefold/sessiond/config"
	"ninefold/sessiond/decided"
	"ninefold/sessiond/identity"
)

// decisions is the kind of record that decided.Keep keeps.
const decisions = "decisions"

// question is what r asks for, as the next start will ask it.
func (m *Manager) question(r Request) decided.Question {
	return decided.Question{Config: m.asked.Config, State: m.asked.State, Profile: r.Profile, User: r.User,
		Terminal: decided.Terminal(), First: m.InitFile(), Guest: r.Guest}.Ask()
}

// keepDecision keeps what was decided for r, where it is root's alone and depends
// on nothing but files that can be looked at again. It decides once more after it
// has looked at them, so that what is kept is what follows from what they are.
// It saves time and nothing else: where it fails, the next start decides again.
func (m *Manager) keepDecision(ctx context.Context, r Request, p *prepared) {
	if !rootsAlone(p) || p.kept != nil || r.Keep || p.profile.Keep.Root == "user" ||
		p.session.Guest == 0 && p.user.Directory || m.fixed != nil || m.host.root != "/" {
		return
	}
	facts, ok := m.inputs(p)
	if !ok {
		return
	}
	again, err := m.prepare(ctx, r, false)
	if err != nil {
		return
	}
	defer again.release()
	same, ok := m.inputs(again)
	if !ok || !same.Same(facts) || plan.Print(again.session.Plan) != plan.Print(p.session.Plan) {
		return
	}
	again.session.Leases = m.leaseFiles(p)
	_ = decided.Keep(m.recordDir(), m.question(r), &again.session, facts, writeRecord)
}

// rootsAlone reports whether root alone had a hand in p. A guest's session is
// untrusted for the guest's sake, whom no decision depends on.
func rootsAlone(p *prepared) bool {
	if p.session.Guest != 0 {
		return len(plan.Influences(p.spec)) == 1
	}
	return p.session.Plan.Class == plan.Trusted
}

// recordDir is where decisions are kept.
func (m *Manager) recordDir() string { return decided.Dir(m.state) }

// inputs are the files from which p was decided. A program that decides by another
// file has to name it here: TestEveryInputIsAFact looks for those that are not.
// ok is false when something was looked at that is not a file.
func (m *Manager) inputs(p *prepared) (facts *decided.Facts, ok bool) {
	facts = &decided.Facts{}
	if p.base.requires || p.base.context != nil {
		return nil, false // modules come and go without a file that says so, and a context is claimed
	}
	if self, err := os.Executable(); err == nil {
		facts.Content(self) // another version may decide otherwise
	}
	facts.Content(m.InitFile())
	for _, d := range m.config {
		facts.Content(filepath.Join(d, "profiles", p.profile.Name+".toml"), filepath.Join(d, config.FileName))
	}
	if file := p.profile.NamespaceFile; file != "" {
		if !filepath.IsAbs(file) {
			file = filepath.Join(filepath.Dir(p.profile.File), file)
		}
		facts.Content(file)
	}
	facts.Content("/etc/passwd", "/etc/group", identity.LimitsFile)
	facts.Content("/etc/locale.conf", "/etc/default/locale")
	facts.Presence(fmt.Sprintf("/run/user/%d", p.user.UID))
	if p.spec.HostBase {
		facts.Mounts()
		facts.Presence(identity.Shells(p.user)...)
	}
	if p.base.stack.Stamp != "" {
		facts.Content(compat.Watched(m.host.root)...)
	}
	if !p.base.onHost {
		facts.Presence(projectable...)
		if c, err := m.configuration(); err == nil && filepath.IsAbs(c.Trust.CA) {
			facts.Presence(c.Trust.CA)
		}
	}
	if p.base.file != "" {
		facts.Content(p.base.file)
	}
	return facts, m.storeInputs(p, facts)
}

// storeInputs adds what p was decided from in the store, which is not what
// digests name: that never changes.
func (m *Manager) storeInputs(p *prepared, facts *decided.Facts) bool {
	if len(p.base.images) == 0 {
		return true
	}
	facts.Content(filepath.Join(m.StoreDir(), "version"))
	p.base.admission.facts(facts, m.StoreDir())
	for _, name := range imageNames(p.profile) {
		tag := store.TagFile(m.StoreDir(), name)
		if _, err := os.Lstat(tag); err != nil {
			return false // the beginning of an id, which other ids may come to have
		}
		facts.Content(tag)
	}
	for _, id := range p.base.images {
		facts.Content(filepath.Join(m.StoreDir(), "images", id.String()))
	}
	for _, l := range p.base.layers {
		if l.Source != "/" {
			facts.Content(l.Source)
		}
		if l.Data != "" {
			facts.Presence(l.Data)
		}
	}
	return true
}

// leaseFiles are the files of the leases that p holds.
func (m *Manager) leaseFiles(p *prepared) []string {
	var files []string
	for _, id := range p.base.images {
		if file := filepath.Join(m.StoreDir(), "leases", id.String()); !slices.Contains(files, file) {
			files = append(files, file)
		}
	}
	return files
}

// projectable are the paths of the machine that a session on an image has when
// they are there.
var projectable = []string{
	"/etc/resolv.conf", "/etc/hosts", "/etc/hostname", "/etc/machine-id", "/etc/localtime", "/etc/timezone",
	"/usr/share/zoneinfo", "/usr/share/fonts", "/usr/local/share/fonts",
	"/etc/ssl/certs", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/etc/pki/tls/certs", "/etc/pki/ca-trust/extracted",
}

// all are the images that q names.
func (q question) all() []image.ID {
	return slices.DeleteFunc(append([]image.ID{q.base, q.runtime}, q.components...), image.ID.IsZero)
}
