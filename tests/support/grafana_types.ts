// Grafana's published types, as a dashboard file has them: values of enums as plain texts, the
// fields of InfluxDB's own query, and the options of each kind of panel.
import type { AnnotationQuery, Dashboard, DataQuery, Panel, RowPanel } from '@grafana/schema';
import type * as StateTimeline from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type * as Stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as Table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as Text from '@grafana/schema/dist/esm/raw/composable/text/panelcfg/x/TextPanelCfg_types.gen';
import type * as TimeSeries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

type Plain<T> = T extends string
  ? `${T}`
  : T extends (infer U)[]
    ? Plain<U>[]
    : T extends object
      ? { [K in keyof T]: Plain<T[K]> }
      : T;

// https://github.com/grafana/grafana: public/app/plugins/datasource/influxdb/types.ts
type InfluxQuery = Plain<DataQuery> & {
  alias?: string;
  query: string;
  rawQuery: true;
  resultFormat?: 'table' | 'time_series';
};

type InfluxAnnotation = Omit<Plain<AnnotationQuery>, 'target'> & {
  query: string;
  tagsColumn: string;
  textColumn: string;
  target: InfluxQuery;
};

type Defaults<Custom> = Omit<
  NonNullable<Plain<NonNullable<Panel['fieldConfig']>>['defaults']>,
  'custom'
> & { custom?: Partial<Plain<Custom>> };

type Of<Type extends string, Options, Custom> = Omit<
  Plain<Panel>,
  'type' | 'targets' | 'options' | 'fieldConfig'
> & {
  type: Type;
  targets?: InfluxQuery[];
  options: Partial<Plain<Options>>;
  fieldConfig?: Omit<Plain<NonNullable<Panel['fieldConfig']>>, 'defaults'> & {
    defaults: Defaults<Custom>;
  };
};

type Panels =
  | Plain<RowPanel>
  | Of<'state-timeline', StateTimeline.Options, StateTimeline.FieldConfig>
  | Of<'stat', Stat.Options, Record<string, never>>
  | Of<'table', Table.Options, Table.FieldConfig>
  | Of<'text', Text.Options, Record<string, never>>
  | Of<'timeseries', TimeSeries.Options, TimeSeries.FieldConfig>;

export type Board = Omit<Plain<Dashboard>, 'annotations' | 'panels'> & {
  annotations: { list: InfluxAnnotation[] };
  panels: Panels[];
};
