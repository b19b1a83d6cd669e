import { useVirtualizer } from "@tanstack/react-virtual";
import type { RefObject } from "react";

/** The rendered rows of a long table, and the space of the others in pixels. */
export interface VisibleRows {
  indexes: number[];
  above: number;
  below: number;
  scrollTo: (index: number) => void;
  /** Returns the number of rows that fit on the screen. */
  pageSize: () => number;
}

/** Renders only the visible rows of a long table and a few around them. The row height is in pixels. */
export function useVisibleRows(count: number, height: number, scroller: RefObject<HTMLElement | null>): VisibleRows {
  // eslint-disable-next-line react-hooks/incompatible-library -- this project does not use the React Compiler
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
    pageSize: () => Math.max(1, Math.floor((scroller.current?.clientHeight ?? 0) / height) - 2),
  };
}
