package namespaces

import (
	"fmt"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/layers"
	"ninefold/namespaces/plan"
)

// scratchAt is where the throw-away tmpfs is attached in the builder's own
// mount namespace: a directory that every machine has. Nobody else sees it,
// and it is dropped with the old root.
const scratchAt = "/proc/driver"

// overlay mounts one union. The first one, on "/", becomes the root.
func (b *builder) overlay(op plan.Overlay) error {
	stack, err := b.openStack(op)
	if err != nil {
		return err
	}
	mnt, err := stack.Union(op.Lowers, op.Upper, attrs(op.Flags))
	if err != nil {
		return err
	}
	b.hold(mnt)
	if op.Flags.ReadOnly || op.Upper == nil {
		b.readonly = append(b.readonly, place{op.Target, mnt})
	}
	if op.Target != "/" {
		return b.attachDir(mnt, op.Target)
	}
	if b.root != kernel.None {
		return fmt.Errorf("%w: a second root overlay", ErrPlan)
	}
	at, err := stack.Dir("root")
	if err != nil {
		return err
	}
	b.root = mnt
	return kernel.Attach(mnt, at, "/")
}

// openStack prepares for the first overlay; a throw-away upper of that one
// bounds what all of them can hold.
func (b *builder) openStack(op plan.Overlay) (*layers.Stack, error) {
	if b.stack != nil {
		return b.stack, nil
	}
	var size int64
	if op.Upper != nil && op.Upper.Dir == "" {
		size = op.Upper.Size
	}
	stack, err := layers.New(scratchAt, size)
	if err != nil {
		return nil, err
	}
	if b.have != nil {
		stack.Have = *b.have
	}
	stack.IDs, stack.First = b.idmap, b.first.namespaces.First
	b.stack = stack
	return stack, nil
}
