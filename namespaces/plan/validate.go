package plan

// Validate checks a whole plan: each step, their order, and that the class is
// what the origins in it ask for and confines it. Whoever executes a plan calls
// it first: what Parse read was perhaps written by hand.
func Validate(p *Plan) error {
	if p.Class != Trusted && p.Class != Untrusted {
		return invalid("the plan has no class")
	}
	if len(p.Ops) > MaxOps {
		return invalid("the plan has %d steps; at most %d", len(p.Ops), MaxOps)
	}
	size := 0
	for i, op := range p.Ops {
		if err := checkOp(op); err != nil {
			return invalid("step %d (%s): %v", i+1, verbOf(op), err)
		}
		size += textBound(op)
	}
	if size > MaxText && len(Print(p)) > MaxText {
		return invalid("the plan is larger than 1 MiB as a namespace file")
	}
	if err := checkOrder(p.Ops); err != nil {
		return err
	}
	return checkClass(p)
}

// checkOrder: namespaces first, then the root before anything is put in it,
// and what describes the first command once.
func checkOrder(ops []Op) error {
	if len(ops) < 2 {
		return invalid("a plan has at least namespaces and an overlay on /")
	}
	if _, ok := ops[0].(Namespaces); !ok {
		return invalid("the first step has to be namespaces")
	}
	if o, ok := ops[1].(Overlay); !ok || o.Target != "/" {
		return invalid("the second step has to be the overlay on /")
	}
	var identities, privileges int
	for _, op := range ops[2:] {
		switch o := op.(type) {
		case Namespaces:
			return invalid("namespaces stands twice")
		case Overlay:
			if o.Target == "/" {
				return invalid("the overlay on / stands twice")
			}
		case Identity:
			identities++
		case Privileges:
			privileges++
		}
	}
	if identities > 1 || privileges > 1 {
		return invalid("user and privileges stand at most once")
	}
	return nil
}

func checkClass(p *Plan) error {
	if p.Class == Trusted {
		for _, op := range p.Ops {
			if o := origin(Line{Op: op}); o != 0 {
				return invalid("the plan calls itself trusted, and uid %d had a hand in %s", o, verbOf(op))
			}
		}
		return nil
	}
	var identity, privileges bool
	for i, op := range p.Ops {
		ok := true
		switch o := op.(type) {
		case Namespaces:
			ok = o.User == UserMapped
		case Overlay:
			ok = o.Flags.NoSuid && o.Flags.NoDev
		case Bind:
			ok = o.Flags.NoSuid && (o.Flags.NoDev || devicesOfHost(o))
		case Disk:
			ok = o.Flags.NoSuid && o.Flags.NoDev
		case Mount:
			ok = o.Type == "dev" || o.Flags.NoSuid && (o.Flags.NoDev || o.Type == "devpts")
		case Privileges:
			privileges = true
			ok = o.NoNewPrivs && len(o.Capabilities)+len(o.Bounding) == 0
		case Identity:
			identity = true
			if o.UID == 0 {
				return &problem{"the plan is untrusted, and its user is root", ErrRootUntrusted}
			}
		}
		if !ok {
			return invalid("step %d (%s) is not confined as an untrusted plan has to be", i+1, verbOf(op))
		}
	}
	if !identity || !privileges {
		return invalid("an untrusted plan has to say user and privileges")
	}
	return nil
}

func verbOf(op Op) string {
	switch op.(type) {
	case Namespaces:
		return "namespaces"
	case Overlay, Mount:
		return "mount"
	case Bind:
		return "bind"
	case Disk:
		return "disk"
	case Unmount:
		return "unmount"
	case Chdir:
		return "cd"
	case Mkdir:
		return "mkdir"
	case Link:
		return "link"
	case File:
		return "file"
	case ReadOnly:
		return "readonly"
	case Identity:
		return "user"
	case Privileges:
		return "privileges"
	case Limit:
		return "limit"
	case Environment:
		return "env"
	}
	return "unknown"
}

// textBound is at least the length of op's line: each byte may be a ' that is
// doubled.
func textBound(op Op) int {
	const words = 512 // the verb, options, numbers and quotes
	switch o := op.(type) {
	case Overlay:
		n := words + 2*len(o.Target)
		for _, l := range o.Lowers {
			n += words + 2*(len(l.Source)+len(l.Data)+len(l.Sub))
			for _, p := range l.Without {
				n += 32 + 2*len(p)
			}
		}
		if o.Upper != nil {
			n += words + 2*(len(o.Upper.Dir)+len(o.Upper.Name))
		}
		return n
	case Mount:
		return words + 2*len(o.Target) + 2*maxName*len(o.Options) + 4*len(o.Options)
	case Bind:
		return words + 2*(len(o.Source)+len(o.Target))
	case Disk:
		return words + 2*(len(o.Source)+len(o.Target))
	case Link:
		return words + 2*(len(o.Text)+len(o.Path))
	case File:
		return words + 2*(len(o.Path)+len(o.Content))
	case Environment:
		return words + 2*(len(o.Name)+len(o.Value))
	case Identity:
		return words + 11*len(o.Groups)
	case Privileges:
		return words + 32*(len(o.Capabilities)+len(o.Bounding))
	}
	return words + 2*MaxPath
}
