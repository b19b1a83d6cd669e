import { useVirtualizer } from "@tanstack/react-virtual";
import type { RefObject } from "react";

/** Which rows of a long table are there, and how much space those that are not take above and below. */
export interface VisibleRows {
  indexes: number[];
  above: number;
  below: number;
  scrollTo: (index: number) => void;
  /** How many rows fit. */
  page: number;
}

/** Keeps only the rows of a long table that can be seen, and a few around them. */
export function useVisibleRows(count: number, height: number, scroller: RefObject<HTMLElement | null>): VisibleRows {
  const virtualizer = useVirtualizer({
    count,
    getScrollElement: () => scroller.current,
    estimateSize: () => height,
    overscan: 15,
    scrollPaddingStart: height + 8,
    initialRect: { width: 0, height: 500 },
  });
  const items = virtualizer.getVirtualItems();
  const last = items.at(-1);
  return {
    indexes: items.map((item) => item.index),
    above: items[0]?.start ?? 0,
    below: last ? virtualizer.getTotalSize() - last.end : 0,
    scrollTo: (index) => virtualizer.scrollToIndex(index),
    page: Math.max(1, Math.floor((scroller.current?.clientHeight ?? 0) / height) - 2),
  };
}
