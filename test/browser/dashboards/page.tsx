// Draws a dashboard as it is committed in manifests/monitoring/dashboards, by Grafana's own components, of what a
// Prometheus answers between ?from and ?to, in ms. What Grafana's server and its panels' code do in between is said by
// "As Grafana"; those parts are not on npm.
import { DataFrame, FieldType, applyFieldOverrides, createTheme, dateTime, getFieldDisplayValues, Registry, rangeUtil, ThemeContext, toDataFrame } from '@grafana/data';
import { BigValue, GlobalStyles, PanelChrome, TimeSeries } from '@grafana/ui';
import { ReactElement, useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';

const asked = new URLSearchParams(location.search);
const [from, to] = ['from', 'to'].map((end) => dateTime(Number(asked.get(end))));
const range = { from, to, raw: { from, to } };
const theme = createTheme({ colors: { mode: 'light' } });
const raw = (text: string) => text;

// As Grafana: the scrape interval of a data source, the height of a row of the grid, and the gap, in s and px.
const scrape = 5, cell = 30, gap = 8;

// As Grafana: what a panel's kind sets where the dashboard says nothing.
const thresholds = { mode: 'absolute', steps: [{ value: null, color: 'green' }, { value: 80, color: 'red' }] };
const defaults: Record<string, any> = {
  stat: { color: { mode: 'thresholds' }, thresholds },
  timeseries: { color: { mode: 'palette-classic' }, thresholds, custom: { drawStyle: 'line', lineInterpolation: 'linear', pointSize: 5, axisPlacement: 'auto' } },
};

// As Grafana: what overrides may change, of that which the dashboards do.
const overridable = new Registry(() => [
  { id: 'custom.hideFrom', path: 'hideFrom', name: '', isCustom: true, process: (value: unknown) => value, shouldApply: () => true },
]) as any;

async function ask(path: string, question: Record<string, string | number>) {
  const answer = await (await fetch(`/api/v1/${path}?` + new URLSearchParams(question as Record<string, string>))).json();
  if (answer.status !== 'success') {
    throw new Error(answer.error);
  }
  return answer.data.result;
}

// As Grafana: variables are filled in, steps without a number are empty, series have the names of legends.
async function frames(panel: any, width: number): Promise<DataFrame[]> {
  const step = rangeUtil.calculateInterval(range, width, `${scrape}s`).intervalMs / 1000;
  const [start, end] = [from, to].map((time) => Math.floor(time.valueOf() / 1000 / step) * step);
  const times = Array.from({ length: (end - start) / step + 1 }, (_, i) => start + i * step);
  const answers = await Promise.all(panel.targets.map(async (target: any) => {
    const query = target.expr
      .replaceAll('$__rate_interval', `${Math.max(step + scrape, 4 * scrape)}s`)
      .replaceAll('$__range', `${Math.round(to.diff(from) / 1000)}s`)
      .replaceAll('$pool', '.*');
    const series = await ask(...(target.instant ? ['query', { query, time: end }] : ['query_range', { query, start, end, step }]) as Parameters<typeof ask>);
    return series.map(({ metric, values, value }: any) => {
      const samples = new Map<number, number>((values ?? [value]).map(([time, text]: [number, string]) => [time, Number(text)]));
      const at = target.instant ? [end] : times;
      return toDataFrame({ refId: target.refId, fields: [
        { name: 'Time', type: FieldType.time, values: at.map((time) => time * 1000) },
        {
          name: 'Value', type: FieldType.number, values: at.map((time) => Number.isFinite(samples.get(time)) ? samples.get(time) : null), labels: metric,
          config: {
            ...defaults[panel.type], ...panel.fieldConfig.defaults,
            custom: { ...defaults[panel.type].custom, ...panel.fieldConfig.defaults.custom },
            displayNameFromDS: target.legendFormat.replace(/{{(.+?)}}/g, (_: string, label: string) => metric[label] ?? ''),
          },
        },
      ] });
    });
  }));
  return applyFieldOverrides({
    data: answers.flat(), fieldConfig: { defaults: {}, overrides: panel.fieldConfig.overrides },
    fieldConfigRegistry: overridable, replaceVariables: raw, theme, timeZone: 'utc',
  });
}

const kinds: Record<string, (panel: any, data: DataFrame[], width: number, height: number) => ReactElement> = {
  timeseries: (panel, data, width, height) => data.length === 0 ? <p>No data</p> :
    <TimeSeries frames={data} width={width} height={height} timeRange={range} timeZone="utc" legend={panel.options.legend} />,
  stat: ({ options, fieldConfig }, data, width, height) =>
    <BigValue {...options} theme={theme} width={width} height={height} count={data.length}
      value={getFieldDisplayValues({ fieldConfig, reduceOptions: options.reduceOptions, data, replaceVariables: raw, theme })[0].display} />,
};

function Panel({ panel, column, done }: { panel: any; column: number; done: () => void }) {
  const [data, setData] = useState<DataFrame[]>();
  const { x, y, w, h } = panel.gridPos;
  const width = w * column + (w - 1) * gap, height = h * cell + (h - 1) * gap;
  useEffect(() => { frames(panel, width).then(setData); }, []);
  useEffect(() => { data && done(); }, [data]);
  return <div data-panel={panel.title} style={{ position: 'absolute', left: x * (column + gap), top: y * (cell + gap) }}>
    <PanelChrome title={panel.title} description={panel.description} width={width} height={height}>
      {(width, height) => data ? kinds[panel.type](panel, data, width, height) : <></>}
    </PanelChrome>
  </div>;
}

function Dashboard({ board }: { board: any }) {
  const [drawn, setDrawn] = useState(0);
  const panels = board.panels.filter((panel: any) => panel.type !== 'row');
  const rows = board.panels.filter((panel: any) => panel.type === 'row');
  const column = (document.body.clientWidth - 32 - 23 * gap) / 24;
  const bottom = Math.max(...panels.map(({ gridPos }: any) => gridPos.y + gridPos.h)) * (cell + gap);
  return <main data-drawn={drawn === panels.length} style={{ padding: 16 }}>
    <h1 style={{ fontSize: 20 }}>{board.title}</h1>
    <p>{board.description}</p>
    <div style={{ position: 'relative', height: bottom }}>
      {rows.map((row: any) => <h2 key={row.id} style={{ position: 'absolute', top: row.gridPos.y * (cell + gap), fontSize: 16, lineHeight: `${cell}px` }}>{row.title}</h2>)}
      {panels.map((panel: any) => <Panel key={panel.id} panel={panel} column={column} done={() => setDrawn((n) => n + 1)} />)}
    </div>
  </main>;
}

const board = await (await fetch(`/dashboards/${asked.get('dashboard')}.json`)).json();
createRoot(document.getElementById('page')!).render(
  <ThemeContext.Provider value={theme}><GlobalStyles /><Dashboard board={board} /></ThemeContext.Provider>,
);
