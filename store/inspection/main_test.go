package inspection_test

import (
	"os"
	"testing"

	"github.com/snapwatch/snapwatch/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }
