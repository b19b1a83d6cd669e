package doctor

import (
	"fmt"
	"time"

	"github.com/snapwatch/snapwatch/internal/finding"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/embedded"
	"github.com/snapwatch/snapwatch/store/query"
)

// checkCluster checks the private cluster. It does not start one.
func checkCluster(c embedded.Inspection) []finding.Finding {
	var findings []finding.Finding
	switch {
	case c.Major == 0 && c.Missing != nil:
		return []finding.Finding{
			problem("programs", c.Missing.Error(), "install the PostgreSQL server, or set DATABASE_URL"),
		}
	case c.Major == 0:
		return []finding.Finding{
			problem(
				"database",
				"there is no private database in "+c.Dir+" that this user can access",
				"start the server, which creates it; if there is one, name it with --data-dir, set DATABASE_URL, or "+
					"run the "+
					"command as the user of the server",
			),
		}
	case c.Missing != nil:
		findings = append(findings, problem("programs", fmt.Sprintf("the private database has version %d: %s", c.Major,
			c.Missing), fmt.Sprintf("install PostgreSQL %d again, or name its programs with --postgres-bin", c.Major)))
	case c.Replaced:
		findings = append(findings, problem("programs",
			"the programs of the private database were replaced while it runs, for example by an upgrade",
			"wait: the server restarts the database within a minute; if it does not, restart the server"))
	default:
		findings = append(findings, good("programs", fmt.Sprintf("PostgreSQL %d in %s", c.Major, c.BinDir)))
	}
	if !c.Running {
		findings = append(
			findings,
			problem("database", "the private database in "+c.Dir+" does not run, so it was not checked",
				"start the server, and run this command again; if the database does not start, read "+c.Log),
		)
	}
	return findings
}

func checkDisk(d embedded.Disk, err error) finding.Finding {
	const fix = "free some space, enlarge the file system, or set a shorter retention or a disk budget on the " +
		"storage page"
	if err != nil {
		return problem("disk", firstLine(err), "check that the data directory exists")
	}
	if text := d.Describe(); text != "" {
		return problem("disk", text, fix)
	}
	return good("disk", fmt.Sprintf("%d of %d MiB are free", d.Free>>20, d.Total>>20))
}

func checkRollups(h *store.HistoryStatus) finding.Finding {
	switch {
	case h.Storage.RollupsFailed > 0:
		return problem("rollups", fmt.Sprintf("%d could not be computed", h.Storage.RollupsFailed),
			"find the reason in the server's log; they are tried again, and their raw data is kept until then")
	case store.IsRollupLagLong(h.RollupsBehind):
		return problem("rollups", fmt.Sprintf("they are %s behind", h.RollupsBehind.Round(time.Minute)),
			"check that a server runs, and find the reason in its log")
	}
	return good("rollups", "they are up to date")
}

// checkRetention compares the size that the history will have with the space of the disk.
func checkRetention(s *query.Storage, d embedded.Disk, now time.Time) finding.Finding {
	space := s.Bytes + int64(d.Free) - int64(d.Required)
	detail := fmt.Sprintf("%d days; the history has %d MiB", s.Retention.RawDays, s.Bytes>>20)
	if budget := s.Retention.BudgetBytes; budget > 0 {
		detail += fmt.Sprintf(", and the disk budget is %d MiB", budget>>20)
		if budget > space {
			return problem(
				"retention",
				detail,
				fmt.Sprintf("lower the disk budget on the storage page to less than %d MiB: "+
					"the disk does not have room for more", space>>20),
			)
		}
		return good("retention", detail)
	}
	if s.BytesPerDay == nil || s.Oldest == 0 {
		return good("retention", detail+"; its growth is known after a day")
	}
	age := now.Sub(s.Oldest.Std()).Hours() / 24
	missing := max(float64(s.Retention.RawDays)-age, 0)
	expected := s.Bytes + int64(missing*float64(*s.BytesPerDay))
	detail += fmt.Sprintf(" and will have about %d MiB", expected>>20)
	if expected > space {
		return problem("retention", detail+fmt.Sprintf(", but the disk has room for %d MiB", space>>20),
			"shorten the retention or set a disk budget on the storage page, or enlarge the file system")
	}
	return good("retention", detail)
}
