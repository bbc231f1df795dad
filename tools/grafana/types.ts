// The types of a dashboard in JSON: Grafana's own, with the values of enums as plain strings and numbers.
import type { Dashboard, DataQuery, Panel, RowPanel } from '@grafana/schema';
import type * as barGauge from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as stateTimeline from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type * as table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as timeSeries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

type Json<T> = unknown extends T
  ? T
  : T extends string
    ? `${T}`
    : T extends number
      ? number
      : T extends Array<infer Item>
        ? Json<Item>[]
        : T extends object
          ? { [Key in keyof T]: Json<T[Key]> }
          : T;

// This package has no type of Prometheus queries.
type Query = Json<DataQuery> & {
  expr: string;
  format?: 'table' | 'time_series';
  instant: boolean;
  legendFormat: string;
  range: boolean;
};

type Typed<Type extends string, Options, Custom = Record<string, never>> = Json<
  Omit<Panel, 'type' | 'options' | 'fieldConfig' | 'targets'>
> & {
  type: Type;
  options: Json<Partial<Options>>;
  targets: Query[];
  fieldConfig: {
    defaults: Json<Omit<NonNullable<Panel['fieldConfig']>['defaults'], 'custom'>> & { custom?: Json<Partial<Custom>> };
    overrides: Json<NonNullable<Panel['fieldConfig']>['overrides']>;
  };
};

export type AnyPanel =
  | Typed<'stat', stat.Options>
  | Typed<'bargauge', barGauge.Options>
  | Typed<'table', table.Options, table.FieldConfig>
  | Typed<'timeseries', timeSeries.Options, timeSeries.FieldConfig>
  | Typed<'state-timeline', stateTimeline.Options, stateTimeline.FieldConfig>
  | Json<RowPanel>;

export type AnyDashboard = Json<Omit<Dashboard, 'panels'>> & { panels: AnyPanel[] };
