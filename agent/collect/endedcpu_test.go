package collect

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/agent/exits"
)

// tickCounter is a total of CPU time in hundredths of a second for user and system time each, like that of children.
type tickCounter struct{ user, system time.Duration }

func (c *tickCounter) add(r *rand.Rand, d time.Duration) {
	user := time.Duration(r.Int64N(int64(d) + 1))
	c.user, c.system = c.user+user, c.system+d-user
}

func (c *tickCounter) read() time.Duration {
	return c.user.Truncate(10*time.Millisecond) + c.system.Truncate(10*time.Millisecond)
}

// However wrong the estimates are between their bounds, the sum of the children differs from what their parent gained
// by no more than ticks.
func TestSumOfChildren(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 18))
		var counter tickCounter
		counter.add(r, time.Duration(r.Int64N(int64(time.Second)))*time.Duration(r.IntN(2)))
		var c childCPU
		c.gain(counter.read(), false, true)
		each := time.Millisecond + time.Duration(r.Int64N(int64(9*time.Millisecond)))
		bias := r.Float64() // of the true time between the bounds
		most := 1 + r.IntN(40)
		var truth, got time.Duration
		for range 1 + r.IntN(60) {
			var group []*endedProcess
			for range r.IntN(most + 1) {
				low := each + time.Duration(r.Int64N(int64(each/4)))
				high := low + 2*time.Millisecond
				used := low + time.Duration(float64(high-low)*(0.8*bias+0.2*r.Float64()))
				counter.add(r, used)
				truth += used
				group = append(group, &endedProcess{
					Process: &exits.Process{}, cpu: low + 100*time.Microsecond, low: low, high: high,
				})
			}
			c.gain(counter.read(), false, false)
			if len(group) == 0 {
				continue
			}
			c.assign(group)
			for _, e := range group {
				if e.cpu < e.low || e.cpu > e.high {
					t.Fatalf("seed %d: %s is not between %s and %s", seed, e.cpu, e.low, e.high)
				}
				got += e.cpu
			}
		}
		// Both totals can be up to 20 ms too low, and the sum is up to 20 ms from their difference.
		if (got - truth).Abs() > 40*time.Millisecond {
			t.Errorf("seed %d: the sum is %s, want %s", seed, got, truth)
		}
	}
}

// Where the gain of the parent is exact, it has the time of a child whose last values were not reported. If another
// child is missing from the gain, or is in it too early, the estimate stays.
func TestExactGainOfTheParent(t *testing.T) {
	const exact, low, estimate, truth, high = 2 * time.Millisecond, 1e6, 12e5, 34e5, 5e6
	children := func(exactOnes int) (group []*endedProcess) {
		for range exactOnes {
			group = append(group, &endedProcess{Process: &exits.Process{}, cpu: exact, low: exact, high: exact})
		}
		return append(group, &endedProcess{Process: &exits.Process{}, cpu: estimate, low: low, high: high})
	}
	const n = 100
	const all, some = n*exact + truth, 5 * exact
	type times []time.Duration
	for name, test := range map[string]struct{ gains, want times }{ // in consecutive samples
		"all are in the gain":    {times{all, all}, times{truth, truth}},
		"it is less by little":   {times{all - 20*time.Microsecond}, times{truth - 20*time.Microsecond}},
		"some are not":           {times{all - some, all + some, all}, times{estimate, estimate, truth}},
		"some are in it early":   {times{all + some, all - some, all}, times{estimate, estimate, truth}},
		"some are never in it":   {times{all - some, all, all}, times{estimate, estimate, truth}},
		"some were in no sample": {times{all + some, all, all}, times{estimate, estimate, truth}},
	} {
		var c childCPU
		total := time.Second
		c.gain(total, true, true)
		for i, gain := range test.gains {
			total += gain
			c.gain(total, true, false)
			group := children(n)
			if c.assign(group); group[n].cpu != test.want[i] || group[0].cpu != exact {
				t.Errorf("%s: in sample %d, %s is assigned, want %s", name, i, group[n].cpu, test.want[i])
			}
		}
	}
}

// When the source of the list changes, the total of the children is another one, and nothing was gained.
func TestGainFromAnotherSource(t *testing.T) {
	var c childCPU
	c.gain(time.Second, false, false)
	if c.gain(time.Second+15*time.Millisecond, true, false); c.unassigned != 0 {
		t.Errorf("%s is unassigned", c.unassigned)
	}
	if c.gain(time.Second+16*time.Millisecond, true, false); c.unassigned != time.Millisecond {
		t.Errorf("then, %s is unassigned", c.unassigned)
	}
}
