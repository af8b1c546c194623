package jobs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"ninefold/internal/record"
	"ninefold/sessiond/api"
)

// The bounds of what is kept of a job.
const (
	maxMessage = 4 << 10
	maxOutput  = 64 << 10
)

// kind is of the records.
var kind = record.Kind{Magic: "9foldjb\n", Version: 1, Max: 512 << 10}

// Record is what is kept of a job, so that a daemon that was stopped, upgraded
// or killed goes on with it.
type Record struct {
	Job     api.Job  `json:"job"`
	Names   []string `json:"names"`
	Options []string `json:"options"`
	// Cancelled says that somebody wanted it ended.
	Cancelled bool `json:"cancelled"`
	// Result is empty before the end.
	Result api.JobResult `json:"result"`
}

// file is the record of a job; beside it lie what its command prints and what
// it complains of, as NAME.out and NAME.err.
func (j *Jobs) file(id string) string { return filepath.Join(j.Dir, id) }

const (
	outSuffix = ".out"
	errSuffix = ".err"
)

// number is the id of a job as a number: those that newID makes.
func number(id string) (uint64, bool) {
	n, err := strconv.ParseUint(id, 10, 64)
	return n, err == nil && n > 0 && strconv.FormatUint(n, 10) == id
}

// read reads all records. What is damaged, or of a newer version, is told and
// left, and its id not used again.
func (j *Jobs) read() (all []*Record, last uint64, err error) {
	if err := os.MkdirAll(j.Dir, 0o700); err != nil {
		return nil, 0, fmt.Errorf("open the records of jobs: %w", err)
	}
	entries, err := os.ReadDir(j.Dir)
	if err != nil {
		return nil, 0, fmt.Errorf("open the records of jobs: %w", err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), record.Aside) {
			_ = os.Remove(j.file(e.Name())) // what a killed writer left
			continue
		}
		n, ok := number(e.Name())
		if !ok {
			continue
		}
		last = max(last, n)
		r := &Record{}
		err := kind.Read(j.file(e.Name()), r)
		if err == nil && r.Job.ID != e.Name() {
			err = fmt.Errorf("%w: it is of job %q", record.ErrDamaged, r.Job.ID)
		}
		if err != nil {
			j.Log.Error("a job of an earlier daemon is not followed", "job", e.Name(), "error", err)
			continue
		}
		all = append(all, r)
	}
	return all, last, nil
}

func (j *Jobs) write(r *Record) error {
	if err := kind.Write(j.file(r.Job.ID), r); err != nil {
		return fmt.Errorf("write the record of job %s: %w", r.Job.ID, err)
	}
	return nil
}

// remove removes what was kept of a job.
func (j *Jobs) remove(id string) {
	j.removeOutput(id)
	if err := os.Remove(j.file(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		j.Log.Warn("the record of a job stays", "job", id, "error", err)
	}
}

func (j *Jobs) removeOutput(id string) {
	for _, suffix := range []string{outSuffix, errSuffix} {
		_ = os.Remove(j.file(id) + suffix) // gone with the machine at the latest
	}
}
